"""Hyperparameters: declared once, as pydantic fields, and shown by every interface from that declaration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class ParamError(ValueError):
    """A setting that cannot be used, as one sentence for the person."""


@dataclass(frozen=True)
class Knob:
    """What an interface needs to draw one hyperparameter."""

    name: str
    label: str
    symbol: str
    unit: str
    help: str
    default: Any
    low: float | None
    high: float | None
    step: float | None
    choices: tuple[str, ...]
    several: bool  # whether any number of the choices may be taken
    kind: type
    advanced: bool
    published: bool  # whether the default is the paper's


def knob(
    default: Any,
    *,
    label: str,
    help: str,
    symbol: str = "",
    unit: str = "",
    ge: float | None = None,
    le: float | None = None,
    step: float | None = None,
    advanced: bool = False,
    published: bool = True,
) -> Any:
    """A pydantic field with what a slider needs: bounds, step, unit, the paper's symbol, a sentence of help.

    `published`: the default is the paper's; False for a setting that is ours.
    """
    extra: Any = {"symbol": symbol, "unit": unit, "step": step, "advanced": advanced, "published": published}
    return Field(default, ge=ge, le=le, title=label, description=help, json_schema_extra=extra)


class Params(BaseModel):
    """Base of every method's hyperparameters: frozen, nothing unknown, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def knobs(cls) -> tuple[Knob, ...]:
        """The declared hyperparameters in order."""
        return tuple(_knob(name, info) for name, info in cls.model_fields.items())

    @classmethod
    def read(cls, values: dict[str, Any]) -> Params:
        """Parameters from untrusted values; ParamError names the first setting that is wrong."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ParamError(_sentence(cls, error)) from None


def literals(annotation: Any) -> tuple[str, ...]:
    """The choices of Literal[...], of tuple[Literal[...], ...], or of either where None will do as well."""
    if get_origin(annotation) is Literal:
        return tuple(get_args(annotation))
    return next((found for part in get_args(annotation) if (found := literals(part))), ())


def _knob(name: str, info: Any) -> Knob:
    extra = info.json_schema_extra or {}
    bounds = {kind: getattr(rule, kind) for rule in info.metadata for kind in ("ge", "le") if hasattr(rule, kind)}
    choices = literals(info.annotation)
    return Knob(
        name=name,
        label=info.title or name,
        symbol=extra.get("symbol", ""),
        unit=extra.get("unit", ""),
        help=info.description or "",
        default=info.default,
        low=bounds.get("ge"),
        high=bounds.get("le"),
        step=extra.get("step"),
        choices=choices,
        several=bool(choices) and get_origin(info.annotation) is not Literal,
        kind=str if choices else info.annotation,
        advanced=bool(extra.get("advanced")),
        published=bool(extra.get("published", True)),
    )


def _sentence(cls: type[Params], error: ValidationError) -> str:
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else "settings"
    known = {knob.name: knob for knob in cls.knobs()}
    if name not in known:
        return f"There is no setting called {name!r}: choose from {', '.join(known)}."
    spec = known[name]
    if spec.several:
        return f"{spec.label} ({name}) must be some of {', '.join(spec.choices)}."
    if spec.choices:
        return f"{spec.label} ({name}) must be one of {', '.join(spec.choices)}."
    if spec.kind is bool:
        return f"{spec.label} ({name}) must be true or false."
    whole = "a whole number" if spec.kind is int else "a number"
    return f"{spec.label} ({name}) must be {whole} from {spec.low:g} to {spec.high:g}."
