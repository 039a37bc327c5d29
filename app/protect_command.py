"""`python -m app protect` and `python -m app score`: the command line's skin over app.jobs and app.score."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from app import gallery
from app.jobs import protect
from app.making import Request
from app.panel import FIRST, Panel, panel_of, trained
from app.photo import open_photo
from app.report import Progress, Result
from app.reveal_command import registry_of, registry_options, watermark_at, watermark_option
from app.runtime import Runtime
from app.score import score
from app.scoring import FARS, Person, find_person
from app.watermarks import USUAL, watermark_of
from engines.files import write_whole
from engines.methods import METHODS
from engines.methods import method as method_of


def add_parser(commands: Any) -> None:
    """Add both commands."""
    _protect_parser(commands.add_parser("protect", help="protect a photo and score the exported file"))
    _score_parser(commands.add_parser("score", help="score a photo against a person"))


def _protect_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("photo", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="where to write: .png, or .jpg for a lossy file")
    parser.add_argument("--method", default="tip-im", help=", ".join(METHODS))
    parser.add_argument(
        "--target",
        action="append",
        default=[],
        metavar="PHOTO|NAME",
        help=f"a photo, or built-in: {', '.join(gallery.NAMES)}; may be given several times",
    )
    parser.add_argument("--reference", type=Path, help="another photo of the same person, for a stricter test")
    parser.add_argument("--face", type=int, default=1, help="which face, 1 being the largest")
    parser.add_argument("--box", type=float, nargs=4, metavar=("X0", "Y0", "X1", "Y1"), help="where the face is")
    parser.add_argument("--surrogate", action="append", metavar="ID", help=f"recogniser to attack (default: {FIRST})")
    _judge_option(parser)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--far", type=float, default=0.01, choices=FARS, help="false-acceptance rate of the thresholds"
    )
    parser.add_argument("--quality", type=int, default=95, help="JPEG quality, 1 to 100")
    parser.add_argument(
        "--identity", default="", metavar="NAME|BITS", help="what dip-watermark writes: a registered name, or 24 bits"
    )
    registry_options(parser)
    watermark_option(parser)
    knobs = parser.add_argument_group("settings of the method (each method takes those that it has)")
    for name, spec in known_knobs().items():
        if name == "target":
            continue  # --target above serves it too
        kind = spec.kind if spec.kind in (int, float) else str
        knobs.add_argument(
            f"--{name.replace('_', '-')}",
            dest=f"knob_{name}",
            type=kind,
            metavar=spec.symbol or None,
            help=spec.help.replace("%", "%%"),
        )
    parser.set_defaults(func=run_protect)


def known_knobs() -> dict[str, Any]:
    """Every method's hyperparameters by name; where methods share one, the first method's."""
    found: dict[str, Any] = {}
    for method in METHODS.values():
        for spec in method.Params.knobs():
            found.setdefault(spec.name, spec)
    return found


def person_at(runtime: Runtime, where: str | Path, **which: Any) -> Person:
    """A built-in face by name, or the face in a photo file."""
    if str(where) in gallery.NAMES:
        return gallery.person(runtime, str(where))
    return find_person(runtime, Path(where).name, open_photo(Path(where)), **which)


def run_protect(args: argparse.Namespace) -> dict[str, Any]:
    """Protect, write the file, return the report."""
    kind = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}.get(args.out.suffix.lower())
    if kind is None:
        raise ValueError("The output must end in .png, or in .jpg for a smaller, lossy file.")
    if not args.out.resolve().parent.is_dir():
        raise ValueError(f"There is no folder {args.out.parent}: create it first.")
    runtime = Runtime()
    params = {name[5:]: value for name, value in vars(args).items() if name.startswith("knob_") and value is not None}
    person = person_at(runtime, args.photo, index=args.face - 1, box=args.box and tuple(args.box))
    targets = _targets(runtime, args, params)
    reference = person_at(runtime, args.reference) if args.reference else None
    request = Request(
        person,
        args.method,
        params,
        targets,
        reference,
        _panel(runtime, args),
        args.seed,
        args.far,
        kind,
        args.quality,
        args.identity,
        args.key,
        registry_of(args),
        _watermark(args),
    )
    for event in protect(runtime, request):
        if isinstance(event, Progress) and sys.stderr.isatty():
            print(f"\r{event.stage}: step {event.step} of {event.steps}   ", end="", file=sys.stderr)
        elif isinstance(event, Result):
            write_whole(args.out, event.file)
            found = event.as_dict()
            if event.mark and not args.json:
                found["mark"] = event.mark.verdict
            return {**found, "out": str(args.out)}
    raise RuntimeError("the job ended without a result")


def _panel(runtime: Runtime, args: argparse.Namespace) -> Panel | None:
    """The panel that the options ask for; None for the method's usual one."""
    if not args.surrogate and not args.judge:
        return None
    if args.surrogate and trained(args.method):
        raise ValueError(
            f"{method_of(args.method).title} is trained already: it attacks nobody, so leave --surrogate out."
        )
    return panel_of(runtime.cards, args.surrogate or (), args.judge or ())


def _targets(runtime: Runtime, args: argparse.Namespace, params: dict[str, Any]) -> tuple[Person, ...]:
    """Whom --target names; for a method that knows its own targets it is the setting of that name instead."""
    method = method_of(args.method)
    if "targets" in method.needs:
        return tuple(person_at(runtime, where) for where in args.target or default_targets(args.method))
    if len(args.target) > 1:
        raise ValueError(f"{method.title} leads to one target: give --target once.")
    if args.target:
        params["target"] = args.target[0]
    return ()


def _watermark(args: argparse.Namespace) -> Any:
    """The watermark that is asked for; the usual words for a method that needs one, None for any other."""
    if "watermark" in method_of(args.method).needs:
        return watermark_at(args) if args.watermark else watermark_of(USUAL)
    if args.watermark:
        raise ValueError(f"{method_of(args.method).title} carries no such watermark: leave --watermark out.")
    return None


def default_targets(method: str) -> tuple[str, ...]:
    """The built-in targets that a run uses when none is given."""
    return (gallery.HOPPER, gallery.VIRTUAL)


def _score_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("photo", type=Path)
    parser.add_argument(
        "--against", required=True, metavar="PHOTO|NAME", help="a photo of the person to compare with"
    )
    parser.add_argument("--far", type=float, default=0.01, choices=FARS)
    _judge_option(parser)
    parser.set_defaults(func=run_score)


def _judge_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--judge",
        action="append",
        metavar="ID",
        help="recogniser that only scores the file; may be given several times (default: every judge that is here)",
    )


def run_score(args: argparse.Namespace) -> dict[str, Any]:
    """Score the largest face of a photo against a person."""
    runtime = Runtime()
    found = score(runtime, person_at(runtime, args.photo), person_at(runtime, args.against), args.judge, args.far)
    return found.as_dict()
