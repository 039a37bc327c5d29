"""Errors as one sentence for a person; never a traceback. What is logged names no file, no person and no pixel."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path

import torch

from app.panel import PanelError
from app.photo import PhotoError
from app.scoring import JobError
from engines.checkpoints import CheckpointError
from engines.face import FaceError
from engines.hub_errors import FULL
from engines.identity import IdentityError
from engines.method import MethodError
from engines.params import ParamError

SENTENCES = (JobError, PanelError, MethodError, ParamError, PhotoError, CheckpointError, FaceError, IdentityError)
DISK = "The server's disk is full, so nothing was kept: try again later, or tell who runs this page."
MEMORY = "There is not enough memory for this: try again in a moment, or with a smaller photo."
OURS = "Something went wrong on our side, and nothing was exported. Try again; if it stays, try another photo."


def sentence(error: Exception) -> str:
    """What happened and what to do; an unforeseen error is logged and never shown."""
    if isinstance(error, SENTENCES):
        return str(error)
    if isinstance(error, OSError) and error.errno in FULL:
        return DISK
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return MEMORY
    logging.getLogger(__name__).error("Unforeseen %s", places(error))
    return OURS


def places(error: BaseException) -> str:
    """The kind of an error and where it came from, innermost first, without its words: they may hold names."""
    frames = reversed(traceback.extract_tb(error.__traceback__))
    where = " < ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames)
    return f"{type(error).__name__} in {where or 'no place'}"
