"""`python -m app reveal` and `python -m app identities`: read a mark or erase a mask; the registry of who is who."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from torch import Tensor

from app import reveal
from app.erase import Erasure, erase
from app.identities import Identities, default_file
from app.photo import Photo, open_photo
from app.runtime import Runtime
from app.scoring import FARS
from app.watermarks import watermark_of
from engines.files import write_whole
from engines.identity import encode
from engines.methods import METHODS


def add_parser(commands: Any) -> None:
    """Add both commands."""
    _reveal_parser(commands.add_parser("reveal", help="read the identity in a protected photo, or erase its mask"))
    _identities_parser(commands.add_parser("identities", help="register, look up and delete identities"))


def registry_options(parser: argparse.ArgumentParser) -> None:
    """--key and --registry, wherever an identity is written or read."""
    parser.add_argument("--key", default=reveal.DEFAULT_KEY, help="who reads a mark needs the key that wrote it")
    parser.add_argument(
        "--registry", type=Path, help="SQLite file of identities (default: LARVATUS_IDENTITIES, or the user's own)"
    )


def watermark_option(parser: argparse.ArgumentParser) -> None:
    """--watermark, wherever a model's watermark is put in or compared with."""
    parser.add_argument(
        "--watermark", metavar="WORDS|PICTURE", help="a model's watermark: words, or the file of a picture"
    )


def watermark_at(args: argparse.Namespace) -> Tensor | None:
    """The watermark that the option names; None where it is left out."""
    if not args.watermark:
        return None
    file = Path(args.watermark)
    return watermark_of("", open_photo(file)) if file.is_file() else watermark_of(args.watermark)


def registry_of(args: argparse.Namespace) -> Identities:
    """The registry that the options name."""
    return Identities(args.registry or default_file())


def _reveal_parser(parser: argparse.ArgumentParser) -> None:
    able = [id for id, method in METHODS.items() if hasattr(method, "read") or hasattr(method, "erase")]
    parser.add_argument("photo", type=Path)
    parser.add_argument("--method", default=able[0], help=", ".join(able))
    parser.add_argument("--claim", metavar="NAME", help="accept or reject: is the photo marked as this identity?")
    registry_options(parser)
    mask = parser.add_argument_group("to erase a mask")
    mask.add_argument("--out", type=Path, help="where to write the photo without its mask: .png")
    mask.add_argument("--restorer", default="", metavar="NAME", help="by whom (default: by whom the file names)")
    mask.add_argument("--original", type=Path, metavar="PHOTO", help="the photo before masking, to compare with")
    mask.add_argument("--reference", type=Path, metavar="PHOTO", help="another photo of the person, to compare with")
    mask.add_argument("--far", type=float, default=0.01, choices=FARS, help="false-acceptance rate of the thresholds")
    watermark_option(parser)
    parser.set_defaults(func=run_reveal)


def run_reveal(args: argparse.Namespace) -> dict[str, Any]:
    """Read every face of a photo, or erase the mask of the largest."""
    photo = open_photo(args.photo)
    if hasattr(METHODS.get(args.method), "erase"):
        return _erase(args, photo)
    identities = registry_of(args)
    found = reveal.reveal(Runtime(), photo, identities, args.key, args.method)
    rows = [{"face": i + 1, **(one.as_dict() if args.json else one.short())} for i, one in enumerate(found)]
    out: dict[str, Any] = {"rows": rows, "notes": [one.verdict for one in found]}
    if args.claim:
        claim = reveal.check_claim(found, args.claim, identities, args.key)
        out |= {"claim": claim.as_dict(), "notes": [*out["notes"], claim.sentence]}
    checkpoints = [{"id": card.id, "sha256": card.sha256} for card in METHODS[args.method].checkpoints]  # type: ignore
    return {**out, "provenance": {"method": args.method, "checkpoints": checkpoints}}


def _erase(args: argparse.Namespace, photo: Photo) -> dict[str, Any]:
    if args.out is None or args.out.suffix.lower() != ".png":
        raise ValueError("Erasing a mask writes a photo: name it with --out FILE.png.")
    if not args.out.resolve().parent.is_dir():
        raise ValueError(f"There is no folder {args.out.parent}: create it first.")
    original, reference = (path and open_photo(path) for path in (args.original, args.reference))
    known = (args.restorer, original, reference)
    found = erase(Runtime(), Erasure(photo, args.method, *known, far=args.far, watermark=watermark_at(args)))
    write_whole(args.out, found.file)
    return {**found.as_dict(), "out": str(args.out)}


def _identities_parser(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, words in (("add", "register a name"), ("show", "look a name up"), ("delete", "forget a name")):
        action = actions.add_parser(name, help=words)
        action.add_argument("name")
        if name == "add":
            action.add_argument("--verify-only", action="store_true", help="keep only a hash of the name")
    actions.add_parser("list", help="list everybody")
    for action in actions.choices.values():
        registry_options(action)
        action.set_defaults(func=run_identities)


def run_identities(args: argparse.Namespace) -> dict[str, Any]:
    """One action on the registry."""
    identities = registry_of(args)
    if args.action == "add":
        people = [identities.register(args.name, keep_name=not args.verify_only)]
    elif args.action == "list":
        people = identities.all()
    else:
        people = [identities.look_up(args.name)]
    if args.action == "delete":
        identities.delete(args.name)
    rows = [
        {
            "number": one.number,
            "name": one.name,
            "registered": one.registered,
            "code": "".join(map(str, encode(one.number, args.key))),
        }
        for one in people
    ]
    return {"rows": rows, "provenance": {"registry": str(identities.path.name), "action": args.action}}
