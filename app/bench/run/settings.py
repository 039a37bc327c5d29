"""A spec's grids as settings, held against what is there: methods, their parameters, recognisers, forgers, edits."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

from app.bench.run.distortions import NONE, canonical
from app.bench.run.plan import FILE, FORGER, RECOGNISER, UNPROTECTED, Look, Setting
from app.bench.run.spec import Grid, Spec, SpecError
from app.panel import Panel, as_seen_by, check, trained
from engines import manipulate
from engines.checkpoints import Checkpoint, CheckpointError, stamped
from engines.edits import EDITS, STYLES
from engines.methods import method as method_of
from engines.params import ParamError


def settings(spec: Spec, known: Mapping[str, Checkpoint]) -> tuple[Setting, ...]:
    """Every method at every point of its grid and every seed, the unprotected photos first. Raises SpecError."""
    found = [Setting(UNPROTECTED, "Unprotected", {}, spec.seeds[0], ())] if spec.unprotected else []
    for number, grid in enumerate(spec.methods):
        try:
            found += _of(grid, spec, known)
        except (ParamError, CheckpointError, ValueError) as error:
            raise SpecError(f"The key `methods.{number}` of the spec is wrong: {error}") from None
    names = [setting.name for setting in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise SpecError(f"Two settings are called {twice!r}: give one of their [[methods]] tables another `name`.")
    return tuple(found)


def _of(grid: Grid, spec: Spec, known: Mapping[str, Checkpoint]) -> list[Setting]:
    method = method_of(grid.id)
    if grid.attacked is not None and trained(grid.id):
        raise SpecError(f"{method.title} is trained already and attacks nobody: leave `attacked` out.")
    panel = as_seen_by(grid.id, panel_of(spec, grid), known)
    check(panel, known)
    networks = tuple(card.sha256 for card in getattr(method, "checkpoints", ()))
    found = []
    for values in _points(grid.params):
        params = method.Params.read(values).model_dump(mode="json")
        for seed in spec.seeds:
            name = grid.name or method.title
            varied = {key: value for key, value in values.items() if isinstance(grid.params[key], list)}
            parts = [f"{key} {_short(value)}" for key, value in varied.items()]
            parts += [f"attacking {', '.join(grid.attacked)}"] if grid.attacked is not None and not grid.name else []
            parts += [f"seed {seed}"] if len(spec.seeds) > 1 else []
            full = f"{name} ({', '.join(parts)})" if parts else name
            found.append(Setting(grid.id, full, params, seed, panel.attacked, networks, trained(grid.id)))
    return found


def panel_of(spec: Spec, grid: Grid | None = None) -> Panel:
    """Who is attacked by a grid, and everybody else of the spec held out."""
    everybody = recognisers(spec)
    attacked = spec.attacked if grid is None or grid.attacked is None else grid.attacked
    return Panel(attacked, tuple(id for id in everybody if id not in attacked))


def recognisers(spec: Spec) -> tuple[str, ...]:
    """All that score, in the order in which the spec first names them."""
    others = (id for grid in spec.methods for id in grid.attacked or ())
    return tuple(dict.fromkeys((*spec.attacked, *others, *spec.held_out)))


def _points(params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The grid's points: a list of values is an axis, anything else stays."""
    axes = [value if isinstance(value, list) else [value] for value in params.values()]
    return [dict(zip(params, point, strict=True)) for point in product(*axes)]


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def distortions(spec: Spec) -> tuple[str, ...]:
    """The exported file itself first, then each distortion once. Raises SpecError."""
    return tuple(dict.fromkeys((NONE, *map(canonical, spec.distortions))))


def looks(spec: Spec, known: Mapping[str, Checkpoint]) -> tuple[Look, ...]:
    """Everything that looks at a file. Raises SpecError for a recogniser, forger or edit that is not here."""
    try:
        check(panel_of(spec), known)
        found = [Look(FILE)]
        found += [Look(RECOGNISER, id, network=stamped(known[id]).sha256) for id in recognisers(spec)]
        found += [look for id in spec.forgers for look in _forgeries(id, spec.edits)]
    except (CheckpointError, ValueError) as error:
        raise SpecError(str(error)) from None
    return tuple(found)


def _forgeries(id: str, edits: tuple[str, ...]) -> list[Look]:
    """A look for each of the edits that the forger makes."""
    here = manipulate.available()
    if id not in here:
        raise SpecError(f"There is no forger called {id!r} here: choose from {', '.join(here) or 'none'}.")
    card = stamped(manipulate.trained(id, "forger"))
    makes = STYLES if card.network == "hisd" else EDITS
    found = [Look(FORGER, id, edit, card.sha256) for edit in edits if edit in makes]
    if not found:
        raise SpecError(f"{card.title} makes none of the `edits` {', '.join(edits)}: choose from {', '.join(makes)}.")
    return found
