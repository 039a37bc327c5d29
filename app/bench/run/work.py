"""One item at work: protect a photo, export it, distort the file, look at it; rows of values, never an error."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from app import gallery as portraits
from app.bench.run.identification import Gallery
from app.bench.run.looks import Made, Seen, figures
from app.bench.run.plan import UNPROTECTED, Item, Want, names
from app.bench.run.settings import recognisers
from app.bench.run.spec import Spec
from app.making import Making, Request
from app.panel import Panel, members
from app.photo import encode, load
from app.runtime import Runtime
from app.scoring import JobError, Person, Scorer, find_person
from app.watermarks import USUAL, watermark_of
from engines.methods import method as method_of

EXPECTED = (ValueError, OSError)  # one sentence each, wherever this project raises them


@dataclass(frozen=True)
class Setup:
    """What every worker is told once. `targets`: names, with the file of each that is not built in."""

    spec: Spec
    targets: tuple[tuple[str, bytes | None], ...] = ()
    gallery: Gallery | None = None


class Work:
    """Holds the models. Called with an item it gives a row for each of its wants, in their order."""

    def __init__(self, setup: Setup, runtime: Runtime | None = None):
        torch.set_num_threads(1)  # one core a worker; and figures that do not depend on how many cores there are
        self.setup, self.runtime = setup, runtime or Runtime()
        self.targets = tuple(self._target(name, data) for name, data in setup.targets)
        self._last: tuple[Any, Made] | None = None  # an item's neighbours share its protected file

    def _target(self, name: str, data: bytes | None) -> Person:
        return portraits.person(self.runtime, name) if data is None else find_person(self.runtime, name, data)

    def __call__(self, item: Item) -> list[dict[str, Any]]:
        """The rows; what goes wrong with a photo is the reason in its rows."""
        try:
            made = self._made(item)
            seen = Seen(self.runtime, made, item.distortion)
        except Exception as error:  # whatever a photo does to a method or a network, the others go on
            return [failed(item, want, sentence(error)) for want in item.wants]
        return [self._row(item, want, made, seen) for want in item.wants]

    def _row(self, item: Item, want: Want, made: Made, seen: Seen) -> dict[str, Any]:
        try:
            return {**_common(item, want), "reason": None, **figures(made, seen, want.look, self.setup.gallery)}
        except Exception as error:  # as above
            return failed(item, want, sentence(error))

    def _made(self, item: Item) -> Made:
        key = (item.probe.sha256, item.probe.reference, item.setting)
        if self._last is None or self._last[0] != key:
            self._last = None  # two photos of 50 megapixels need not be held at once
            self._last = (key, self._protected(item))
        return self._last[1]

    def _protected(self, item: Item) -> Made:
        """The photo protected, exported and decoded again, with those who score it."""
        spec, setting = self.setup.spec, item.setting
        if item.fault:
            raise JobError(item.fault)
        person = find_person(self.runtime, item.probe.name, item.data)
        other = item.reference
        reference = None if other is None else find_person(self.runtime, "the other photo", other)
        everybody = recognisers(spec)
        panel = Panel(setting.attacked, tuple(id for id in everybody if id not in setting.attacked))
        scoring = members(self.runtime, panel)[0]
        if tuple(member.id for member in scoring) != panel.ids:
            raise JobError("A recogniser of the spec could not be fetched: try python -m app weights pull first.")
        if setting.method == UNPROTECTED:
            data = encode(person.photo.pixels, spec.format, spec.quality)
            scorer = Scorer(self.runtime, scoring, reference or person, self.targets, spec.far)
            return Made(person, reference, panel, load(data), scorer, item.probe.person, self.targets)
        making = Making(self.runtime, self._request(item, person, panel))
        work = making.run()
        *_, last = work
        exported = load(making.export(last, work)[0])
        scorer = Scorer(self.runtime, scoring, reference or person, making.targets, spec.far)
        return Made(person, reference, panel, exported, scorer, item.probe.person, making.targets, making)

    def _request(self, item: Item, person: Person, panel: Panel) -> Request:
        """The same job that every interface gives; the number that a mark writes is the photo's own."""
        spec, setting = self.setup.spec, item.setting
        needs = method_of(setting.method).needs
        return Request(
            person,
            setting.method,
            setting.params,
            self.targets if "targets" in needs else (),
            panel=panel,
            seed=setting.seed,
            far=spec.far,
            format=spec.format,
            quality=spec.quality,
            identity=f"{int(item.probe.sha256[:6], 16):024b}" if "message" in needs else "",
            watermark=watermark_of(USUAL) if "watermark" in needs else None,
        )


def failed(item: Item, want: Want, reason: str) -> dict[str, Any]:
    """The row of what could not be measured, with the reason in one sentence."""
    return {**_common(item, want), "reason": reason}


def lost(item: Item, reason: str) -> Sequence[dict[str, Any]]:
    """The rows of an item whose worker died."""
    return [failed(item, want, reason) for want in item.wants]


def sentence(error: Exception) -> str:
    """What is told of an error: its own sentence, or for a stranger's its name before it."""
    text = " ".join(str(error).split())
    return text if isinstance(error, EXPECTED) and text else f"{type(error).__name__}: {text}"


def _common(item: Item, want: Want) -> dict[str, Any]:
    """What every row says of itself."""
    setting, look = item.setting, want.look
    return {
        "key": want.key,
        **names(item.probe, setting, look),
        "photo_sha256": item.probe.sha256,
        "method": setting.method,
        "params": json.dumps(setting.params, sort_keys=True, ensure_ascii=False),
        "seed": setting.seed,
        "distortion": item.distortion,
        "kind": look.kind,
        "by": look.by,
        "edit": look.edit or None,
    }
