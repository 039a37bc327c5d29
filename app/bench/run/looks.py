"""What is measured on one exported file: by the file itself, by a recogniser, by a forger. Plain values by name."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from app import forge, lpips
from app.bench.run.distortions import NONE, distortion
from app.bench.run.identification import Gallery
from app.bench.run.plan import FILE, RECOGNISER, Look
from app.erase import Erasure, erase
from app.erased import Erased
from app.hiding import hidden
from app.making import Making
from app.panel import Panel
from app.photo import Photo
from app.report import Score
from app.runtime import Runtime
from app.scoring import Person, Scorer, embed
from engines import measure
from engines.face import ARCFACE112, Face, align
from engines.identity import decode
from engines.iterate import Views


@dataclass(frozen=True, eq=False)
class Made:
    """A protected file, decoded, and what it came from. `making` is None for a photo that nobody protected."""

    person: Person
    reference: Person | None
    panel: Panel
    exported: Photo
    scorer: Scorer
    name: str  # who is on it, as the data say; "" where they do not
    targets: tuple[Person, ...]
    making: Making | None = None


class Seen:
    """The file after a distortion, its face sought again; each thing is worked out once, when a row asks for it."""

    def __init__(self, runtime: Runtime, made: Made, id: str):
        self.runtime, self.made, self.distortion = runtime, made, id
        changed = made.exported.pixels if id == NONE else distortion(id).apply(made.exported.pixels)
        self.photo = Photo(changed, made.exported.source_format, (), made.exported.settings)

    @cached_property
    def face(self) -> Face | None:
        """The face where the person's was; None where none is found any more."""
        return self.made.scorer.find_again(self.photo, self.made.person.face)

    @cached_property
    def scores(self) -> dict[str, Score]:
        """Each recogniser's view."""
        return {score.recogniser: score for score in self.made.scorer.file(self.photo, self.made.person.face)}

    @cached_property
    def erased(self) -> Erased | None:
        """The file with its mask taken off again, for a method that has a way back."""
        making = self.made.making
        if making is None or making.exact or not hasattr(making.method, "erase") or self.face is None:
            return None
        job = Erasure(
            self.photo,
            making.method.id,
            original=self.made.person.photo,
            reference=None if self.made.reference is None else self.made.reference.photo,
            panel=self.made.panel,
            far=self.made.scorer.far,
        )
        return erase(self.runtime, job)


def figures(made: Made, seen: Seen, look: Look, gallery: Gallery | None) -> dict[str, Any]:
    """The figures of one row."""
    if look.kind == FILE:
        return _file(made, seen)
    return _recogniser(made, seen, look.by, gallery) if look.kind == RECOGNISER else _forger(made, seen, look)


def _recogniser(made: Made, seen: Seen, id: str, gallery: Gallery | None) -> dict[str, Any]:
    """Cosines and verdicts; ranks in the gallery; the same cosines once the mask is taken off."""
    score = seen.scores[id]
    found = {
        "threshold": score.threshold,
        "to_self": score.to_self,
        "to_target": score.to_target,
        "matches_self": score.matches_self,
        "matches_target": score.matches_target if made.targets else None,
    }
    if gallery is not None:
        found |= _ranks(made, seen, id, gallery)
    after = seen.erased.after if seen.erased is not None else ()
    again = next((one for one in after if one.recogniser == id), None)
    if again is not None:
        aimed = again.to_target is not None
        found |= {"erased_to_self": again.to_self, "erased_to_target": again.to_target}
        found |= {"erased_matches_self": again.matches_self}
        found |= {"erased_matches_target": again.matches_target if aimed else None}
    return found


def _ranks(made: Made, seen: Seen, id: str, gallery: Gallery) -> dict[str, Any]:
    """From 1; 0 where no face is found in the file, so that nobody is found by it."""
    aimed = [target.name for target in made.targets if target.name in gallery.people]
    if seen.face is None:
        return {"rank_self": 0, "rank_target": 0 if aimed else None}
    member = next(member for member in made.scorer.members if member.id == id)
    row = embed(member.recogniser, Person("file", seen.photo, seen.face))
    own, target = gallery.ranks(id, row, made.name, aimed)
    return {"rank_self": own, "rank_target": target}


def _file(made: Made, seen: Seen) -> dict[str, Any]:
    """Whether the face is found; how the file compares with the photo; what can be read in it or taken back."""
    found: dict[str, Any] = {"found": seen.face is not None}
    if seen.distortion == NONE:
        found |= _quality(made)
    if made.making is not None and made.making.message is not None:
        found |= _mark(made.making, seen)
    if made.making is not None and made.making.exact:
        found |= _hidden(made.making, seen)
    elif seen.erased is not None:
        found |= {"restored_psnr": _finite(seen.erased.psnr), "restored_ssim": seen.erased.ssim}
    return found


def _quality(made: Made) -> dict[str, Any]:
    """PSNR in dB (none for equal pictures), SSIM, L1, MSE, MMD and LPIPS of the face, cut from both alike."""
    if made.making is None:
        crop = align(made.person.photo.pixels, made.person.landmarks, ARCFACE112)
    else:
        crop = made.making.crop
    before, after = crop.pixels, Person("file", made.exported, made.person.face).crop(crop).pixels
    found = {
        "psnr": _finite(float(measure.psnr(after, before))),
        "ssim": float(measure.ssim(after, before)),
        "l1": float((after - before).abs().mean()),
        "mse": float((after - before).square().mean()),
        "mmd": _mmd(before, after),
    }
    return {**found, **({"lpips": lpips.lpips(after, before)} if lpips.there() else {})}


def _mmd(before: Tensor, after: Tensor) -> float:
    """MMD (TIP-IM, Eq. 3) between the two faces under the same eight shifts and flips, the paper's footnote 4."""
    views = Views(before, torch.Generator().manual_seed(0))
    return float(measure.mmd(views.of(after), views.of(before)))


def _mark(making: Making, seen: Seen) -> dict[str, Any]:
    """The share of bits that read as they were written, and whether the number is read; neither without a face."""
    if seen.face is None:
        return {"bits": None, "identity_read": False}
    pixels = Person("file", seen.photo, seen.face).crop(making.method).pixels
    method: Any = making.method
    bits = method.read(pixels.to(seen.runtime.device)).bits[0].tolist()
    assert making.message is not None
    agree = [bit == int(wrote) for bit, wrote in zip(bits, making.message.tolist(), strict=True)]
    read = decode(tuple(bits), making.request.key)
    return {
        "bits": sum(agree) / len(agree),
        "identity_read": read is not None and read.number == int(making.request.identity, 2),
    }


def _hidden(making: Making, seen: Seen) -> dict[str, Any]:
    """What comes back from the file at the place where the face was hidden, and the watermarks read there."""
    back = hidden(seen.runtime, making.method, making.crop, seen.photo, (), {}, making.request.watermark)
    found: dict[str, Any] = {"restored_psnr": _finite(back.psnr), "restored_ssim": back.ssim}
    for name, one in zip(("masked", "recovered"), back.carried, strict=True):
        found |= {f"nc_{name}": one.nc, f"extracted_{name}": one.extracted}
    return found


def _forger(made: Made, seen: Seen, look: Look) -> dict[str, Any]:
    """L2-face, ID similarity and the verdict of ID-Guard, Sec. IV-A4; `kept`: whether the forger keeps the person."""
    built = forge.build(seen.runtime, made.person, seen.photo, look.edit, (look.by,))
    tile = next(item for item in built if isinstance(item, forge.Tile))
    return {
        "l2_face": tile.l2_face,
        "id_similarity": tile.similarity,
        "defended": tile.defended,
        "kept": tile.kept,
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
