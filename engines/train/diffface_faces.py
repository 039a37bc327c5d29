"""Faces as DiffFace learns them: small, under noise, and each with the embedding that says whom it shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from engines.face import CELEBA128, retarget
from engines.files import sha256_of
from engines.recognise import Recogniser
from engines.train.celeba import Celeba

AT_ONCE = 64


def identities(faces: Celeba, recogniser: Recogniser, file: Path) -> Tensor:
    """Unit rows (N, D) float32 on the CPU, in the order of the faces.

    Read from `file` where it was made by this recogniser of these faces; else made and written there. A face is cut
    to the recogniser's template by where CELEBA128's points lie on average, since Celeba knows no landmarks.
    """
    names = sha256_of("\n".join(faces.files).encode())
    made_by = {"recogniser": recogniser.card.id, "sha256": recogniser.card.sha256, "faces": names}
    if (kept := _read(file, made_by)) is not None:
        return kept
    rows = torch.cat([_embedded(faces, recogniser, part) for part in _parts(len(faces))])
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    save_file({"rows": rows}, part, made_by)
    part.replace(file)
    return rows


def _parts(count: int) -> list[np.ndarray]:
    return np.array_split(np.arange(count), -(-count // AT_ONCE))


@torch.no_grad()
def _embedded(faces: Celeba, recogniser: Recogniser, index: np.ndarray) -> Tensor:
    seen = retarget(faces.pixels(index, CELEBA128.size), CELEBA128, recogniser.template)
    # Channels last: SFace then takes 33 ms a face on one core instead of 60.
    return recogniser.embed(seen.to(memory_format=torch.channels_last)).float().cpu().contiguous()


def _read(file: Path, made_by: dict[str, str]) -> Tensor | None:
    try:
        with safe_open(file, "pt") as kept:
            return kept.get_tensor("rows") if kept.metadata() == made_by else None
    except (OSError, SafetensorError):
        return None


@dataclass(frozen=True)
class Draw:
    """Faces (N, 3, S, S) in [-1, 1], their noise, their time steps (N,), and whom they show, (N, D)."""

    pixels: Tensor
    noise: Tensor
    times: Tensor
    identity: Tensor

    def to(self, device: str) -> Draw:
        """The same on a device."""
        return Draw(*(value.to(device) for value in vars(self).values()))

    def split(self, count: int) -> list[Draw]:
        """So many faces at a time."""
        return [Draw(*rows) for rows in zip(*(value.split(count) for value in vars(self).values()), strict=True)]


class Faces:
    """Faces of one size as bytes, so that no picture is decoded twice, and whom each shows, (N, D)."""

    def __init__(self, faces: Celeba, rows: Tensor, side: int):
        self.pixels = torch.cat([(faces.pixels(part, side) * 255).round().byte() for part in _parts(len(faces))])
        self.rows = rows

    def __len__(self) -> int:
        return len(self.pixels)

    def draw(self, index: np.ndarray, rng: np.random.Generator, steps: int) -> Draw:
        """These faces, half of them mirrored, with noise, at chance time steps that lie evenly over all `steps`."""
        chosen = torch.from_numpy(index)
        pixels = self.pixels[chosen].float() / 127.5 - 1
        mirrored = torch.from_numpy(rng.random(len(index)) < 0.5)
        pixels[mirrored] = pixels[mirrored].flip(-1)
        noise = torch.from_numpy(rng.standard_normal(tuple(pixels.shape), dtype=np.float32))
        places = rng.permutation((rng.random() + np.arange(len(index)) / len(index)) % 1)
        return Draw(pixels, noise, torch.from_numpy((places * steps).astype(np.int64)), self.rows[chosen])
