"""Errors as one sentence for a person; never a traceback."""

from __future__ import annotations

import logging

from app.panel import PanelError
from app.photo import PhotoError
from app.scoring import JobError
from engines.checkpoints import CheckpointError
from engines.face import FaceError
from engines.identity import IdentityError
from engines.method import MethodError
from engines.params import ParamError

SENTENCES = (JobError, PanelError, MethodError, ParamError, PhotoError, CheckpointError, FaceError, IdentityError)
OURS = "Something went wrong on our side, and nothing was exported. Try again; if it stays, try another photo."


def sentence(error: Exception) -> str:
    """What happened and what to do; an unforeseen error is logged and never shown."""
    if isinstance(error, SENTENCES):
        return str(error)
    logging.getLogger(__name__).error("Unforeseen error", exc_info=error)
    return OURS
