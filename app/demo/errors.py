"""Errors as one sentence for a person; never a traceback."""

from __future__ import annotations

import logging

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
    logging.getLogger(__name__).error("Unforeseen error", exc_info=error)
    return OURS
