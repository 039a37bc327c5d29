"""The work as items in a fixed order, and for each row a key: a hash of all that its figures depend on.

An item is one photo, one setting of a method and one distortion; its rows are one of the file itself, one a
recogniser, and one a forger and edit. Labels take no part in keys: who relabels the data computes nothing again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

VERSION = 1  # of what rows mean: one more makes every row be computed again
UNPROTECTED = "none"
FILE, RECOGNISER, FORGER = "file", "recogniser", "forger"


@dataclass(frozen=True)
class Setting:
    """A method at one point of its grid: all its parameters, whom it attacks, and a name for tables."""

    method: str
    name: str
    params: dict[str, Any]
    seed: int
    attacked: tuple[str, ...]  # for a trained method, those of the spec that its training worked against
    networks: tuple[str, ...] = ()  # SHA-256 of what makes its output, where those are trained networks
    trained: bool = False


@dataclass(frozen=True)
class Look:
    """One way to look at a file: the file itself, a recogniser, or a forger and its edit. `network`: its SHA-256."""

    kind: str
    by: str = ""
    edit: str = ""
    network: str = ""


@dataclass(frozen=True)
class Probe:
    """A photo to protect. `reference`: SHA-256 of the photo that it is compared with; "" for the photo itself."""

    index: int
    name: str
    sha256: str
    person: str = ""
    labels: dict[str, Any] = field(default_factory=dict)
    reference: str = ""
    reference_index: int | None = None


@dataclass(frozen=True)
class Want:
    """A row to be computed."""

    key: str
    look: Look


@dataclass(frozen=True)
class Item:
    """What a worker gets: the photo's file, and the rows that are still to be computed of it."""

    probe: Probe
    setting: Setting
    distortion: str
    wants: tuple[Want, ...]
    data: bytes = b""
    reference: bytes | None = None
    fault: str = ""  # why there is no file


@dataclass(frozen=True)
class Plan:
    """Probes x settings x distortions x looks, in this order. `shared`: what all keys depend on."""

    probes: tuple[Probe, ...]
    settings: tuple[Setting, ...]
    distortions: tuple[str, ...]
    looks: tuple[Look, ...]
    shared: Mapping[str, Any]

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.probes) * len(self.settings) * len(self.distortions) * len(self.looks)

    def bundles(self, known: Container[str]) -> Iterator[tuple[Item, ...]]:
        """What is left to do, as items; those of one photo and setting together, since they share one protected file.

        Lazy: a bundle is made when it is asked for. `known` holds the keys of the rows that are there.
        """
        for probe in self.probes:
            for setting in self.settings:
                found = (self._item(probe, setting, distortion, known) for distortion in self.distortions)
                if items := tuple(item for item in found if item.wants):
                    yield items

    def in_order(self) -> Iterator[tuple[str, Probe, dict[str, str | None]]]:
        """Every row's key, photo and names, in order."""
        for probe in self.probes:
            for setting in self.settings:
                for distortion in self.distortions:
                    for want in self._item(probe, setting, distortion, ()).wants:
                        yield want.key, probe, names(probe, setting, want.look)

    def _item(self, probe: Probe, setting: Setting, distortion: str, known: Container[str]) -> Item:
        wants = (Want(self.key(probe, setting, distortion, look), look) for look in self.looks)
        return Item(probe, setting, distortion, tuple(want for want in wants if want.key not in known))

    def key(self, probe: Probe, setting: Setting, distortion: str, look: Look) -> str:
        """SHA-256 in hex of all that the row's figures depend on, whatever the order of the spec."""
        return digest(
            {
                "version": VERSION,
                "photo": probe.sha256,
                "person": probe.person if self.shared.get("gallery") else "",
                "reference": probe.reference,
                "method": setting.method,
                "params": setting.params,
                "seed": setting.seed,
                "attacked": [] if setting.trained else sorted(setting.attacked),
                "networks": setting.networks,
                "distortion": distortion,
                "look": [look.kind, look.by, look.edit, look.network],
                "shared": dict(self.shared),
            }
        )


def names(probe: Probe, setting: Setting, look: Look) -> dict[str, str | None]:
    """What a row says of itself that its key does not hang on, so that a spec that grew may say it otherwise."""
    role = ("surrogate" if look.by in setting.attacked else "judge") if look.kind == RECOGNISER else None
    return {
        "photo": probe.name,
        "person": probe.person or None,
        "setting": setting.name,
        "attacked": ", ".join(setting.attacked),
        "role": role,
    }


def digest(value: Any) -> str:
    """SHA-256 in hex of plain values, whatever the order of their keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def photo_hash(data: bytes) -> str:
    """SHA-256 of a file in hex."""
    return hashlib.sha256(data).hexdigest()
