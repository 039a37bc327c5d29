"""What went wrong with a file of the Hub, as one sentence that says what to do."""

from __future__ import annotations

import errno

from engines.checkpoints import Checkpoint, CheckpointError, registry, stand_in

FULL = (errno.ENOSPC, errno.EDQUOT)


class Unreachable(CheckpointError):
    """Offline mode or a dead network: asking for another file would fail as well."""


def with_stand_in(card: Checkpoint, text: str) -> str:
    """The sentence, ended with the network that can be used instead."""
    known = registry()
    other = stand_in(card, known)
    if other is None:
        return f"{text}."
    how = "bundled" if known[other].source == "bundled" else "already installed"
    return f"{text}; {other}, which is {how}, can stand in."


def explain(card: Checkpoint, error: Exception, came: int = 0) -> CheckpointError:
    """An error of the client, the transport or the disk as one sentence without addresses or paths.

    `came`: the bytes that are kept for the next try.
    """
    if isinstance(error, CheckpointError):
        return error
    text = _of_the_hub(card, error) or _of_the_disk(card, error)
    if text:
        return CheckpointError(with_stand_in(card, text))
    text = f"{card.id} could not be fetched from the Hub ({card.repo}): check the connection"
    if came:
        text += f" and try again, it goes on after the {came / 1e6:.1f} MB that came"
    return Unreachable(with_stand_in(card, text))


def _of_the_hub(card: Checkpoint, error: Exception) -> str:
    from huggingface_hub import errors

    if not isinstance(error, errors.HfHubHTTPError):
        return ""
    status = error.response.status_code
    if isinstance(error, errors.GatedRepoError) or status == 403:
        return (
            f"{card.repo} wants its terms accepted: open its page on the Hub in a browser, accept them, "
            "and set HF_TOKEN to your access token"
        )
    if isinstance(error, (errors.EntryNotFoundError, errors.RevisionNotFoundError)):
        return f"The Hub has no {card.file} of {card.repo} at the pinned revision: correct its entry in the registry"
    if status in (401, 404):
        return f"The Hub has no {card.repo}, or it is private: correct the entry, or set HF_TOKEN if it is yours"
    return f"The Hub could not give {card.repo} (it answered {status}): try again later"


def _of_the_disk(card: Checkpoint, error: Exception) -> str:
    code = error.errno if isinstance(error, OSError) else None
    if code in FULL:
        size = card.about or f"{card.bytes / 1e6:.0f} MB"
        return f"The disk is full: make room for {card.id} ({size}) and try again"
    if code in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
        return f"The cache folder cannot be written, so {card.id} cannot be kept: set LARVATUS_CACHE to another one"
    return ""
