"""What deepfake models make of a face, and of its protected version: the wall of forgeries. No gradio.

Both faces are cut from decoded files, at the place where the protected file's face was found, so that what
differs is the protection and not the cut. Labels (hair, gender, age) are read once, from the clean face.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from app import photo as photos
from app.fits import stepwise
from app.photo import Photo
from app.pictures import amplified, eight_bit, to_array
from app.runtime import Runtime
from app.scoring import JobError, Person, Scorer
from engines import manipulate
from engines.checkpoints import checkpoint
from engines.edits import EDITS, STYLES
from engines.face import CELEBA128, Template, align, retarget
from engines.manipulate import Forger
from engines.measure import ID_SIMILARITY, L2_FACE, defended, l2_face
from engines.nets.parser import FACE, mask
from engines.parse import parts

JUDGE = "compact-inception"  # who says whether two forgeries show one person; no protection was trained against it
LABEL = "forged, for demonstration"
STRIP = 14  # pixels that the label takes at the foot of a tile
MAGNIFIED = 10  # the perturbation is shown this many times as strong
ALL_EDITS = tuple(dict.fromkeys((*EDITS, *STYLES)))
USUAL = "blond hair"
FAILS = (
    f"A forger fails when its two forgeries differ on the face (L2-face above {L2_FACE:g}, in [-1, 1]) and show "
    "different people (ID similarity, a cosine by a recogniser that no protection was trained against, below "
    f"{ID_SIMILARITY:g})."
)
CONSENT = "Forge only faces of people who agreed."


class NoFace(JobError):
    """The protected file shows no face where the original has one."""


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
    """The original and the protected face, (128, 128, 3) uint8, what was added magnified, a tile for each forger."""

    original: np.ndarray
    protected: np.ndarray
    change: np.ndarray
    tiles: tuple[Tile, ...]
    provenance: dict[str, Any]
    seconds: float
    note: str = ""  # how it was made, where that is unusual

    @property
    def verdict(self) -> str:
        """One sentence for the whole wall."""
        return f"{self._says} {self.note}".strip()

    @property
    def _says(self) -> str:
        held, all = sum(tile.defended for tile in self.tiles), len(self.tiles)
        if not held:
            return f"None of {all} forgers fails on the protected photo: it does not protect against forging."
        return f"{held} of {all} forgers fail{'s' * (held == 1)} on the protected photo."

    def as_dict(self) -> dict[str, Any]:
        """Rows and provenance, without the pictures."""
        rows = [{**tile.as_dict(), "verdict": tile.verdict} for tile in self.tiles]
        said = {"notes": [self.verdict, FAILS, CONSENT], "seconds": self.seconds}
        return {"rows": rows, "provenance": self.provenance, **said}


def edit_of(forger: Forger, edit: str) -> str:
    """The edit itself, or, for a forger that does not make it, the first of its own."""
    return edit if edit in forger.edits else forger.edits[0]


def build(
    runtime: Runtime,
    person: Person,
    protected: Photo,
    edit: str,
    forgers: Sequence[str] = (),
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Tile | Wall]:
    """Yield the tiles as they come, and the wall at the end; stops without it when cancelled.

    `protected` is the exported file of the person's photo, decoded; without `forgers` all that are here forge.
    Raises JobError and CheckpointError, each one sentence.
    """
    yield from stepwise(runtime, lambda where, note: _built(where, note, person, protected, edit, forgers, cancelled))


def _built(
    runtime: Runtime,
    note: str,
    person: Person,
    protected: Photo,
    edit: str,
    forgers: Sequence[str],
    cancelled: Callable[[], bool],
) -> Iterator[Tile | Wall]:
    start = time.perf_counter()
    members = [manipulate.forger(id, runtime.device) for id in forgers or manipulate.available()]
    if not members:
        raise JobError("There is no trained forger here: train one with python -m engines.train.forgers, or add one.")
    if not any(edit in member.edits for member in members):
        known = sorted({name for member in members for name in member.edits})
        raise JobError(f"No forger makes the edit {edit!r}: choose {', '.join(known)}.")
    pair = cut(runtime, person, protected)
    one, two = pair.at(CELEBA128).to(runtime.device).split(1)
    labels, face = manipulate.shown(one, runtime.device), mask(parts(one), FACE)
    tiles = []
    for member in members:
        if cancelled():
            return
        tiles.append(_tile(runtime, member, edit_of(member, edit), pair, labels, face))
        yield tiles[-1]
    seen = [eight_bit(pixels) for pixels in (one, two)]
    yield Wall(
        *map(to_array, seen),
        amplified(*seen, MAGNIFIED),
        tuple(tiles),
        _provenance(members),
        time.perf_counter() - start,
        note,
    )


@dataclass(frozen=True)
class Pair:
    """A photo and its protected file, and where in both the face is: (5, 2) points, those found in the file."""

    photos: tuple[Photo, Photo]
    points: Tensor

    def at(self, template: Template) -> Tensor:
        """The clean and the protected face, cut alike: (2, 3, S, S) in [0, 1]."""
        return torch.cat([align(photo.pixels, self.points, template).pixels for photo in self.photos])


def cut(runtime: Runtime, person: Person, protected: Photo) -> Pair:
    """Both faces, to be cut alike. Raises JobError where the file is of another photo, NoFace where it shows none."""
    if protected.pixels.shape != person.photo.pixels.shape:
        raise JobError("The protected photo has another size than the original: give the file that was made of it.")
    found = Scorer(runtime, (), person).find_again(protected, person.face)
    if found is None:
        raise NoFace("No face was found in the protected photo where the original has one: protect it again.")
    return Pair((person.photo, protected), torch.tensor(found.landmarks, dtype=torch.float32))


@torch.no_grad()
def _tile(runtime: Runtime, forger: Forger, edit: str, pair: Pair, labels: Tensor, face: Tensor) -> Tile:
    one, two = pair.at(forger.template).to(runtime.device).split(1)
    made = [forger.forge(pixels, edit, labels) for pixels in (one, two)]
    judge = runtime.recogniser(JUDGE)
    rows = [judge.embed(retarget(pixels, forger.template, judge.template))[0] for pixels in (*made, one)]
    where = F.interpolate(face, size=made[0].shape[-2:])
    distance, similarity = l2_face(made[0], made[1], where), (rows[0] * rows[1]).sum()[None]
    return Tile(
        forger.card.id,
        forger.card.title,
        edit,
        labelled(to_array(eight_bit(made[0]))),
        labelled(to_array(eight_bit(made[1]))),
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


def _provenance(members: Sequence[Forger]) -> dict[str, Any]:
    cards = [*(member.card for member in members), *(checkpoint(id) for id in ("attributes", "parser", JUDGE))]
    return {"networks": [{"id": card.id, "sha256": card.sha256, "state": card.state} for card in cards]}


def whole(wall: Wall) -> np.ndarray:
    """The wall as one picture (H, W, 3) uint8: clean forgeries above, those of the protected photo below."""
    side = wall.tiles[0].clean.shape[0]
    clean, protected = zip(*((tile.clean, tile.protected) for tile in wall.tiles), strict=True)
    rows = []
    for first, tiles in ((wall.original, clean), (wall.protected, protected)):
        larger = np.asarray(Image.fromarray(first).resize((side, side), Image.Resampling.LANCZOS))
        rows.append(np.concatenate([larger, *map(partial(_sized, side=side), tiles)], 1))
    return np.concatenate(rows, 0)


def _sized(tile: np.ndarray, side: int) -> np.ndarray:
    return tile if len(tile) == side else np.asarray(Image.fromarray(tile).resize((side, side)))


def encoded(wall: Wall) -> bytes:
    """The wall as a PNG that carries its figures and what made it."""
    forged = [tile.as_dict() for tile in wall.tiles]
    settings = {"larvatus": 1, "forged": forged, "provenance": wall.provenance}
    pixels = torch.from_numpy(whole(wall)).permute(2, 0, 1)[None].contiguous()
    return photos.encode(pixels, "PNG", 100, settings)
