"""What deepfake models make of a face, and of its protected version: the wall of forgeries. No gradio.

Both faces are cut from decoded files, at the place where the protected file's face was found, so that what
differs is the protection and not the cut. Labels (hair, gender, age) are read once, from the clean face.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from app.photo import Photo
from app.runtime import Runtime
from app.scoring import JobError, Person, Scorer
from engines import manipulate
from engines.checkpoints import checkpoint
from engines.face import CELEBA128, align, retarget
from engines.manipulate import FORGERS, Forger
from engines.measure import ID_SIMILARITY, L2_FACE, defended, l2_face
from engines.nets.parser import FACE, mask
from engines.parse import parts

JUDGE = "compact-inception"  # who says whether two forgeries show one person; no protection was trained against it
LABEL = "forged, for demonstration"
STRIP = 14  # pixels that the label takes at the foot of a tile


@dataclass(frozen=True)
class Tile:
    """One forger's two forgeries, (S, S, 3) uint8 with the label in them, and how far apart they are."""

    forger: str
    title: str
    edit: str
    clean: np.ndarray
    protected: np.ndarray
    l2_face: float  # Eq. 16 of ID-Guard, in [-1, 1]
    similarity: float  # cosine of the two forgeries' identities
    defended: bool
    kept: float  # cosine of the clean forgery and the original: whether the forger keeps the person

    @property
    def verdict(self) -> str:
        """In words."""
        return "defended" if self.defended else "not defended"

    def as_dict(self) -> dict[str, Any]:
        """Without the pictures."""
        return {name: value for name, value in asdict(self).items() if name not in ("clean", "protected")}


@dataclass(frozen=True)
class Wall:
    """The original and the protected face, (S, S, 3) uint8, and a tile for each forger."""

    original: np.ndarray
    protected: np.ndarray
    tiles: tuple[Tile, ...]
    provenance: dict[str, Any]
    seconds: float

    @property
    def verdict(self) -> str:
        """One sentence for the whole wall."""
        held = sum(tile.defended for tile in self.tiles)
        return (
            f"{held} of {len(self.tiles)} forgers failed on the protected photo: their forgery is far from the clean "
            f"one (L2-face above {L2_FACE:g}) and shows somebody else (ID similarity below {ID_SIMILARITY:g})."
        )


def edits(forgers: Sequence[str] = FORGERS) -> dict[str, tuple[str, ...]]:
    """The edits that each forger makes."""
    return {id: manipulate.forger(id).edits for id in forgers}


def edit_of(forger: Forger, edit: str) -> str:
    """The edit itself, or, for a forger that does not make it, the first of its own."""
    return edit if edit in forger.edits else forger.edits[0]


def build(
    runtime: Runtime,
    person: Person,
    protected: Photo,
    edit: str,
    forgers: Sequence[str] = FORGERS,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Tile | Wall]:
    """Yield the tiles as they come, and the wall at the end; stops without it when cancelled.

    `protected` is the exported file of the person's photo, decoded. Raises JobError and CheckpointError, each one
    sentence.
    """
    start = time.perf_counter()
    members = [manipulate.forger(id, runtime.device) for id in forgers]
    if not any(edit in member.edits for member in members):
        known = sorted({name for member in members for name in member.edits})
        raise JobError(f"No forger makes the edit {edit!r}: choose {', '.join(known)}.")
    one, two = faces(runtime, person, protected)
    labels, face = manipulate.shown(one, runtime.device), mask(parts(one), FACE)
    tiles = []
    for member in members:
        if cancelled():
            return
        tiles.append(_tile(runtime, member, edit_of(member, edit), one, two, labels, face))
        yield tiles[-1]
    yield Wall(_array(one), _array(two), tuple(tiles), _provenance(members), time.perf_counter() - start)


def faces(runtime: Runtime, person: Person, protected: Photo) -> tuple[Tensor, Tensor]:
    """The clean and the protected face (1, 3, 128, 128) in [0, 1], cut alike. JobError where there is none."""
    if protected.pixels.shape != person.photo.pixels.shape:
        raise JobError("The protected photo has another size than the original: give the file that was made of it.")
    found = Scorer(runtime, (), person).find_again(protected, person.face)
    if found is None:
        raise JobError("No face was found in the protected photo where the original has one: protect it again.")
    points = torch.tensor(found.landmarks, dtype=torch.float32)
    one, two = (align(photo.pixels, points, CELEBA128).pixels for photo in (person.photo, protected))
    return one.to(runtime.device), two.to(runtime.device)


@torch.no_grad()
def _tile(
    runtime: Runtime, forger: Forger, edit: str, one: Tensor, two: Tensor, labels: Tensor, face: Tensor
) -> Tile:
    made = [forger.forge(pixels, edit, labels) for pixels in (one, two)]
    judge = runtime.recogniser(JUDGE)
    rows = [judge.embed(retarget(pixels, CELEBA128, judge.template))[0] for pixels in (*made, one)]
    distance, similarity = l2_face(made[0], made[1], face), (rows[0] * rows[1]).sum()[None]
    return Tile(
        forger.card.id,
        forger.card.title,
        edit,
        labelled(_array(made[0])),
        labelled(_array(made[1])),
        float(distance),
        float(similarity),
        bool(defended(distance.cpu(), similarity.cpu())),
        float((rows[0] * rows[2]).sum()),
    )


def labelled(picture: np.ndarray, scale: int = 2) -> np.ndarray:
    """A forgery at `scale` times its size with LABEL written in it, so that no copy of it is without."""
    image = Image.fromarray(picture)
    image = image.resize((scale * image.width, scale * image.height), Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(image)
    height = STRIP * scale // 2 + 4
    draw.rectangle((0, image.height - height, image.width, image.height), fill=(0, 0, 0))
    font = ImageFont.load_default(size=height - 5)
    draw.text((image.width / 2, image.height - height / 2), LABEL, fill=(255, 255, 255), font=font, anchor="mm")
    return np.asarray(image)


def _array(pixels: Tensor) -> np.ndarray:
    return (pixels[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()


def _provenance(members: Sequence[Forger]) -> dict[str, Any]:
    cards = [*(member.card for member in members), *(checkpoint(id) for id in ("attributes", "parser", JUDGE))]
    return {"networks": [{"id": card.id, "sha256": card.sha256, "state": card.state} for card in cards]}
