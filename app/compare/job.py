"""The comparison itself: every entry on every photo, a line as each is done. No gradio, no streamlit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import mean
from typing import Any

import numpy as np
import torch

from app import gallery
from app.compare.entries import Entry, checked
from app.compare.likeness import likeness
from app.erase import bare
from app.errors import sentence
from app.identities import Identities
from app.jobs import protect
from app.making import Request
from app.panel import Panel, check, obstacle
from app.photo import load
from app.pictures import window_of
from app.report import Progress, Result
from app.runtime import Runtime
from app.scoring import JobError, Person
from app.watermarks import USUAL, watermark_of
from engines.methods import METHODS

MOST_PHOTOS = 8
IDENTITY = "Visitor"
TARGETS = (gallery.HOPPER, gallery.COLLINS)


@dataclass(frozen=True)
class Comparison:
    """One job. `targets`: whom methods that need one lead to; without any the built-in one that is not the person."""

    people: tuple[Person, ...]
    entries: tuple[Entry, ...]
    targets: tuple[Person, ...] = ()
    panel: Panel | None = None
    far: float = 0.01
    seed: int = 0
    identities: Identities | None = None


@dataclass(frozen=True)
class Cell:
    """One entry on one photo: a result, or the sentence that says why there is none."""

    entry: Entry
    photo: int
    result: Result | None
    error: str = ""
    figures: dict[str, float] = field(default_factory=dict)
    restored: np.ndarray | None = None  # the head, uint8 (h, w, 3), after its mask was taken off again
    strips: dict[Any, str] = field(default_factory=dict, compare=False, repr=False)  # its faces as last written


@dataclass(frozen=True)
class Line:
    """A line of the board: an entry's cells so far, and the means of their figures."""

    entry: Entry
    cells: tuple[Cell, ...]

    @property
    def figures(self) -> dict[str, float]:
        """Means over the photos on which it worked."""
        rows = [cell.figures for cell in self.cells if cell.result is not None]
        return {
            name: mean(row[name] for row in rows)
            for name in (rows[0] if rows else {})
            if all(name in r for r in rows)
        }

    @property
    def still(self) -> str:
        """How many held-out judges still match, over all photos: "0 of 3"; empty where none has a verdict."""
        scores = [
            score for cell in self.cells if cell.result for score in cell.result.scores if score.role == "judge"
        ]
        known = [score.matches_self for score in scores if score.matches_self is not None]
        return f"{sum(known)} of {len(known)}" if known else ""

    @property
    def verdict(self) -> str:
        """The same in words; or why there is none."""
        if still := self.still:
            return f"{still} held-out judges"
        return self.cells[0].error if self.cells and self.cells[0].error else "no verdict"

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; no pixels. Photos are numbered from 1."""
        photos = [{"photo": cell.photo + 1, **cell.figures, "failed": cell.error} for cell in self.cells]
        entry = {"method": self.entry.method, "name": self.entry.name, "params": self.entry.params}
        return {**entry, "figures": self.figures, "still_known_by": self.verdict, "photos": photos}


@dataclass(frozen=True)
class Working:
    """A comparison under way: which entry on which photo, how many are done, and where the entry is."""

    done: int
    all: int
    entry: Entry
    photo: int
    progress: Progress


def compare(
    runtime: Runtime, job: Comparison, cancelled: Callable[[], bool] = lambda: False
) -> Iterator[Working | Cell]:
    """Yield each cell as it is done, and how far the next one is; stops when cancelled.

    An entry that fails on a photo is a cell with its reason. Raises JobError, MethodError, ParamError, PanelError
    and CheckpointError for a job that cannot start.
    """
    entries = checked(job.entries)
    if job.panel:
        check(job.panel, runtime.cards)
    if not job.people:
        raise JobError("There is no face to compare on yet: put in a photo.")
    if len(job.people) > MOST_PHOTOS:
        raise JobError(f"{len(job.people)} photos are too many for one board: choose at most {MOST_PHOTOS}.")
    count, done = len(entries) * len(job.people), 0
    for photo, person in enumerate(job.people):
        for entry in entries:
            for item in _cell(runtime, job, entry, photo, person, cancelled):
                if isinstance(item, Cell):
                    done += 1
                    yield item
                else:
                    yield Working(done, count, entry, photo, item)
            if cancelled():
                return


def _cell(
    runtime: Runtime, job: Comparison, entry: Entry, photo: int, person: Person, cancelled: Callable[[], bool]
) -> Iterator[Progress | Cell]:
    try:
        result = None
        for item in protect(runtime, request(runtime, job, entry, person), cancelled):
            if isinstance(item, Result):
                result = item
            else:
                yield item
        if result is not None:  # the job is over: taking the mask off is work of its own
            yield Cell(entry, photo, result, figures=figures(result), restored=restored(runtime, entry, result))
    except Exception as error:  # a sentence for the person: this entry's alone
        yield Cell(entry, photo, None, sentence(error))


def request(runtime: Runtime, job: Comparison, entry: Entry, person: Person) -> Request:
    """The entry as a job of its own, with what its method needs and nobody has chosen. JobError: a wrong panel."""
    if job.panel and (problem := obstacle(runtime, job.panel, entry.method)):
        raise JobError(problem)
    needs = METHODS[entry.method].needs
    others = tuple(target for target in job.targets if target.name != person.name)
    others = others or tuple(gallery.person(runtime, name) for name in TARGETS if name != person.name)
    extra: dict[str, Any] = {}
    if "message" in needs:
        extra |= {"identity": IDENTITY, "identities": _registered(job.identities)}
    if "watermark" in needs:
        extra |= {"watermark": watermark_of(USUAL)}
    return Request(
        person,
        entry.method,
        entry.params,
        others[:1] if "targets" in needs and "watermark" in needs else others if "targets" in needs else (),
        panel=job.panel,
        seed=job.seed,
        far=job.far,
        stranger=others[0],
        survival=False,
        **extra,
    )


def _registered(identities: Identities | None) -> Identities | None:
    if identities is not None:
        identities.register(IDENTITY)
    return identities


def figures(result: Result) -> dict[str, float]:
    """The columns of the board: what the held-out judges say, likeness of the head, seconds."""
    judges = [score for score in result.scores if score.role == "judge"]
    known = [score.matches_self for score in judges if score.matches_self is not None]
    judged = [score.to_self for score in judges if score.to_self is not None]
    found = {"still match %": 100 * sum(known) / len(known)} if known else {}
    found |= {"judge cosine": mean(judged)} if judged else {}
    x0, y0, x1, y1 = result.window
    pair = [_pixels(pixels[y0:y1, x0:x1]) for pixels in (result.after, result.before)]
    found |= {"SSIM": result.ssim, "PSNR": min(result.psnr, 99.0), **likeness(*pair), "seconds": result.seconds}
    return found


def restored(runtime: Runtime, entry: Entry, result: Result) -> np.ndarray | None:
    """The head after the mask was taken off the very file again; None for a method that has no way back.

    What a file hides in its own bits comes back in the result itself (`hidden`).
    """
    if not hasattr(METHODS[entry.method], "erase") or result.hidden is not None:
        return None
    try:
        return window_of(bare(runtime, load(result.file), entry.method).pixels, result.window)
    except JobError:  # no face is found in the file any more
        return None


def _pixels(window: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(window)).permute(2, 0, 1)[None].float() / 255


def lines(entries: Sequence[Entry], cells: Sequence[Cell]) -> list[Line]:
    """The board as far as it is: a line for each entry that has a cell, in the order of the entries."""
    found = [Line(entry, tuple(cell for cell in cells if cell.entry == entry)) for entry in entries]
    return [line for line in found if line.cells]
