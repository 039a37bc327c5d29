"""Every upload is a file of its own.

Gradio names an upload by what is in it: strangers who upload the same photo would share one file, which is removed
once the first of them was served, and whoever knows a photo would know its name.
"""

from __future__ import annotations

import secrets
from typing import Any

from gradio import route_utils
from gradio.route_utils import GradioUploadFile


class OwnUpload(GradioUploadFile):
    """An upload in a folder that nobody can guess and nobody shares."""

    def __init__(self, *given: Any, **named: Any):
        super().__init__(*given, **named)
        self.sha.update(secrets.token_bytes(32))


def keep_apart() -> None:
    """From now on, for every app of this process."""
    route_utils.GradioUploadFile = OwnUpload  # type: ignore[misc]
