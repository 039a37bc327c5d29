"""From a photo to its protected file: what a method is given, its run, and the export. No gradio, no streamlit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from app import gallery, reveal
from app import photo as photos
from app.identities import Identities, default_file
from app.panel import Member, Panel, as_seen_by, members
from app.runtime import Runtime
from app.scoring import JobError, Person, cosine, embed
from engines.face import align, celeba, paste
from engines.frame import place, settle
from engines.method import Run, Scene, Snapshot, run
from engines.methods import method as method_of
from engines.parse import head

SAME_PERSON = "Target {name} looks like the person in the photo to {title}, so it was left out."


@dataclass(frozen=True)
class Request:
    """One protect job. `reference`: another photo of the same person, as a gallery would hold it."""

    person: Person
    method: str = "tip-im"
    params: dict[str, Any] = field(default_factory=dict)
    targets: tuple[Person, ...] = ()
    reference: Person | None = None
    panel: Panel | None = None  # None: the default panel
    seed: int = 0
    far: float = 0.01
    format: str = "PNG"
    quality: int = 95
    identity: str = ""  # for a method that writes one: a registered name, or its number as bits
    key: str = reveal.DEFAULT_KEY
    identities: Identities | None = None  # None: the user's own registry
    watermark: Tensor | None = None  # (1, 3, T, T), for a method that carries a picture: see app.watermarks
    stranger: Person | None = None  # with whom Grad-CAM compares where there is no reference and no target
    survival: bool = True  # whether the result says what survives distortions

    def strict(self) -> Request:
        """The same; a reference that is the very photo to be protected is none."""
        other, own = self.reference, self.person.photo.pixels
        return replace(self, reference=None) if other and np.array_equal(other.photo.pixels, own) else self


class Making:
    """A request turned into a file. `notes` gathers what the person should know."""

    def __init__(self, runtime: Runtime, request: Request, cancelled: Callable[[], bool] = lambda: False):
        self.runtime, self.request, self.cancelled = runtime, request.strict(), cancelled
        self.method = method_of(request.method)
        self.exact = bool(getattr(self.method, "exact", False))
        if self.exact and request.format != "PNG":
            raise JobError(f"{self.method.title} hides your face in the last bits, which JPEG drops: choose PNG.")
        self.panel = as_seen_by(request.method, request.panel, runtime.cards)
        self.members, stand_ins = members(runtime, self.panel)
        self.notes: list[str] = [*request.person.photo.notes, *stand_ins]
        self.identities = request.identities or Identities(default_file())
        self.message = self._message()
        self.targets = self._targets()
        self.crop = request.person.crop(self.method)
        self.where = self._where()

    def _where(self) -> Tensor | None:
        """The mask of the head, where the settings keep to it."""
        params = self.method.Params.read(self.request.params)
        return head(self.crop) if getattr(params, "region", None) == "Head" else None

    def pasted(self, pixels: Tensor) -> Tensor:
        """The whole photo, uint8, with the crop's edit in it."""
        if self.exact:
            return settle(self.request.person.photo.pixels, self.crop, pixels.cpu())
        return paste(self.request.person.photo.pixels, self.crop, pixels.cpu(), self.where)

    def _message(self) -> Tensor | None:
        """The bits that the method writes, if it writes any."""
        if "message" not in self.method.needs:
            return None
        return reveal.message(self.identities, self.request.identity, self.request.key)[1]

    def _wanted(self) -> tuple[Person, ...]:
        """Whom recognisers should see: the request's targets, or the one that a trained method aims at."""
        if "targets" in self.method.needs:
            return self.request.targets
        if self.request.targets:
            raise JobError(f"{self.method.title} knows only its own targets: set its setting `target` instead.")
        aim = getattr(self.method, "aim", None)
        settings = self.method.Params.read(self.request.params)
        return (gallery.person(self.runtime, aim(settings)),) if aim else ()

    def _targets(self) -> tuple[Person, ...]:
        """The targets, less any that a surrogate takes for the person: towards them there is nothing to gain.

        Where nobody is attacked, the first of the panel looks.
        """
        kept = []
        wanted = self._wanted()
        watching = [m for m in self.members if m.attacked] or self.members[:1]
        for target in wanted:
            alike = next((m for m in watching if self._alike(m, target)), None)
            if alike is None:
                kept.append(target)
            else:
                self.notes.append(SAME_PERSON.format(name=target.name, title=alike.recogniser.card.title))
        if wanted and not kept:
            raise JobError("Every target looks like the person in the photo: choose another target.")
        return tuple(kept)

    def _alike(self, member: Member, target: Person) -> bool:
        likeness = cosine(embed(member.recogniser, target), embed(member.recogniser, self.request.person))
        return likeness >= member.recogniser.thresholds.get(0.01, 1.0)

    def run(self) -> Run:
        """The method at work: snapshots to come."""
        request, pixels = self.request, self.crop.pixels.to(self.runtime.device)
        return run(self.method, pixels, request.params, self._scene(), request.seed, self.cancelled)

    def _scene(self) -> Scene:
        """What the method is given: whom to attack and whom to resemble, or the words to write."""
        if self.message is not None:
            return Scene(message=self.message)
        surrogates = [member.recogniser for member in self.members if member.attacked]
        template = celeba(self.crop.template.size) if self.exact else self.method.template
        faces = [align(target.photo.pixels, target.landmarks, template).pixels for target in self.targets]
        shown = torch.cat(faces).to(self.runtime.device) if faces else None
        return Scene(surrogates, shown, watermark=self.request.watermark)

    def export(self, last: Snapshot, work: Run) -> tuple[bytes, dict[str, Any]]:
        """The file to download, with everything that made it."""
        settings = {
            "larvatus": 1,
            "provenance": work.provenance.as_dict(),
            "face": {"box": [round(v, 1) for v in self.request.person.face.box]},
            # An uploaded file's name may be a person's: it stays out of a file that will be shared.
            "targets": [t.name if t.name in gallery.NAMES else "an uploaded photo" for t in self.targets],
            "format": self.request.format,
            "quality": self.request.quality if self.request.format == "JPEG" else None,
        }
        if self.exact:
            photo = self.request.person.photo
            settings["frame"] = [*place(self.crop), photo.width, photo.height]
        return photos.encode(self.pasted(last.pixels), self.request.format, self.request.quality, settings), settings


def protected_file(runtime: Runtime, request: Request, cancelled: Callable[[], bool] = lambda: False) -> bytes:
    """The protected file alone, without scores. Raises as `app.jobs.protect` does; JobError when cancelled."""
    making = Making(runtime, request, cancelled)
    with runtime.work:
        work = making.run()
        *_, last = work
    if work.was_cancelled:
        raise JobError("Stopped. Nothing was exported.")
    return making.export(last, work)[0]
