"""What a bench run is asked for: a TOML file, checked key by key before anything heavy is loaded."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

SOURCES = ("folder", "parquet", "dataset")
RATES = (0.01, 0.001)


class SpecError(ValueError):
    """A spec that cannot be run, as one sentence that names the key and says what to do."""


class Part(BaseModel):
    """Base of every table: frozen, and nothing unknown in it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Photos(Part):
    """[photos]: where they are, who is on them, and which of them are protected.

    One of `folder`, `parquet` (a file, or a pattern such as "lfw160-*.parquet") and `dataset` (a folder written by
    `save_to_disk`, or a name on the Hub). `labels` are columns to slice by; of a folder they come from `labels.csv`
    beside the photos, whose column `file` names them. `person` is the column that says who it is.
    """

    folder: Path | None = None
    parquet: str | None = None
    dataset: str | None = None
    split: str = "train"
    image: str = "image"
    file: str = "file"
    name: str = ""
    labels: tuple[str, ...] = ()
    person: str = ""
    per_person: int | None = Field(None, ge=1)
    limit: int | None = Field(None, ge=1)
    shuffle: int | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _one_source(self) -> Photos:
        if sum(getattr(self, name) is not None for name in SOURCES) != 1:
            raise ValueError("give exactly one of folder, parquet and dataset")
        if self.per_person and not self.person:
            raise ValueError("per_person needs `person`, the column that says who is on a photo")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read beside the pictures."""
        return tuple(dict.fromkeys((*self.labels, *([self.person] if self.person else []))))


class Targets(Part):
    """[targets]: whom methods lead to. `people`: that many people of the data, who then are not protected."""

    names: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    people: int = Field(default=0, ge=0)


class Gallery(Part):
    """[gallery]: rank the protected photo in all other photos of its people, the targets', and `distractors` more."""

    distractors: int = Field(0, ge=0)


class Grid(Part):
    """[[methods]]: a method, and lists of values for settings that are varied. `attacked` replaces the spec's."""

    id: str
    name: str = ""
    params: dict[str, Any] = {}
    attacked: tuple[str, ...] | None = None


class Spec(Part):
    """The whole file."""

    title: str = "Bench"
    photos: Photos
    methods: tuple[Grid, ...] = ()
    unprotected: bool = True
    targets: Targets = Targets()
    attacked: tuple[str, ...] = ("sface",)
    held_out: tuple[str, ...] = ("dlib-resnet",)
    distortions: tuple[str, ...] = ()
    forgers: tuple[str, ...] = ()
    edits: tuple[str, ...] = ("blond hair",)
    gallery: Gallery | None = None
    against: Literal["itself", "another photo"] = "itself"
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    far: float = 0.01
    format: Literal["PNG", "JPEG"] = "PNG"
    quality: int = Field(95, ge=1, le=100)

    @field_validator("far")
    @classmethod
    def _known_rate(cls, value: float) -> float:
        if value not in RATES:
            raise ValueError(f"thresholds are known at {' and '.join(map(str, RATES))}: choose one of them")
        return value

    @model_validator(mode="after")
    def _people_are_known(self) -> Spec:
        needs = {"gallery": self.gallery, "targets.people": self.targets.people}
        asked = [key for key, value in needs.items() if value]
        asked += ["against"] if self.against == "another photo" else []
        if asked and not self.photos.person:
            raise ValueError(f"{asked[0]} needs `photos.person`, the column that says who is on a photo")
        if not self.methods and not self.unprotected:
            raise ValueError("nothing would be measured: add a [[methods]] table, or set unprotected = true")
        return self


def load(path: Path) -> Spec:
    """The spec of a file; its relative paths are taken from the file's folder. Raises SpecError, one sentence."""
    try:
        given = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError):
        raise SpecError(f"There is no text file {path.name}: give the path of a spec in TOML.") from None
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{path.name} is not TOML: {error}.") from None
    return read(given, path.name, path.resolve().parent)


def read(given: dict[str, Any], name: str = "The spec", folder: Path | None = None) -> Spec:
    """The spec of plain values. Raises SpecError for the first thing that is wrong."""
    try:
        spec = Spec.model_validate(given)
    except ValidationError as error:
        raise SpecError(_sentence(error, name)) from None
    return spec if folder is None else _placed(spec, folder)


def _placed(spec: Spec, folder: Path) -> Spec:
    photos, targets = spec.photos, spec.targets
    moved: dict[str, Any] = {}
    if photos.folder is not None:
        moved["folder"] = folder / photos.folder
    if photos.parquet is not None:
        moved["parquet"] = str(folder / photos.parquet)
    if photos.dataset is not None and (folder / photos.dataset).is_dir():
        moved["dataset"] = str(folder / photos.dataset)
    files = tuple(folder / file for file in targets.files)
    return spec.model_copy(
        update={"photos": photos.model_copy(update=moved), "targets": targets.model_copy(update={"files": files})}
    )


def _sentence(error: ValidationError, name: str) -> str:
    """The first mistake, a misspelt key before one that is missing: where it is, and what could stand there."""
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    key, model = ".".join(str(part) for part in first["loc"]), _model_at(first["loc"])
    if first["type"] == "extra_forbidden":
        return f"{name} has an unknown key `{key}`: choose from {', '.join(model.model_fields)}."
    if first["type"] == "missing":
        return f"{name} lacks the key `{key}`: add it."
    says = str(first["msg"]).removeprefix("Value error, ").rstrip(".")
    says = says[:1].lower() + says[1:]
    return f"The key `{key}` of {name} is wrong: {says}." if key else f"{name} cannot be run: {says}."


def _model_at(loc: tuple[Any, ...]) -> type[Part]:
    """The table that a key of an error lies in."""
    tables: dict[str, type[Part]] = {"photos": Photos, "targets": Targets, "gallery": Gallery, "methods": Grid}
    return tables.get(str(loc[0]), Spec) if len(loc) > 1 else Spec
