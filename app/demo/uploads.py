"""Every upload is a file of its own, in its visitor's folder, and there is an end to how much lies there unread.

Gradio names an upload by what is in it: strangers who upload the same photo would share one file, which is removed
once the first of them was served, and whoever knows a photo would know its name.
"""

from __future__ import annotations

import re
import secrets
import shutil
from pathlib import Path
from typing import Any

from gradio import route_utils
from gradio.route_utils import GradioUploadFile
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from app.demo.visitor import asking
from app.errors import DISK
from engines.hub_errors import FULL

PREFIX = "upload-"
UPLOAD = re.compile(r"^(?:/gradio_api)?/upload/?$")
MOST = 200_000_000  # bytes of a visitor's uploads that no event has read
SPARE = 500_000_000  # bytes of the disk that uploads leave free
TOO_MUCH = "You have uploaded much that was never used: wait some minutes, or delete your things on the About tab."


class _Name:
    """In place of a SHA-256 of the content: a folder that nobody can guess and nobody shares."""

    def __init__(self) -> None:
        self._name = f"{asking.get()}/{PREFIX}{secrets.token_hex(32)}"

    def update(self, data: bytes) -> None:
        """What is in the upload has no part in its name."""

    def hexdigest(self) -> str:
        """The folder, below that of all visitors."""
        return self._name


class OwnUpload(GradioUploadFile):
    """An upload in the folder of who sends it."""

    def __init__(self, *given: Any, **named: Any):
        super().__init__(*given, **named)
        self.sha = _Name()  # type: ignore[assignment]


def keep_apart() -> None:
    """From now on, for every app of this process."""
    route_utils.GradioUploadFile = OwnUpload  # type: ignore[misc]


class Uploads:
    """ASGI middleware: refuses an upload for which there is no room; `root` is the folder of all visitors."""

    def __init__(self, app: ASGIApp, root: Path):
        self.app, self.root = app, root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http" or scope["method"] != "POST" or not UPLOAD.match(scope["path"]):
            return await self.app(scope, receive, send)
        if refused := self._refused(asking.get()):
            return await refused(scope, receive, send)
        try:
            await self.app(scope, receive, send)
        except OSError as error:
            if error.errno not in FULL:
                raise
            await PlainTextResponse(DISK, 507)(scope, receive, send)

    def _refused(self, visitor: str) -> PlainTextResponse | None:
        if shutil.disk_usage(self.root).free < SPARE:
            return PlainTextResponse(DISK, 507)
        unread = (file for folder in (self.root / visitor).glob(f"{PREFIX}*") for file in folder.glob("*"))
        return PlainTextResponse(TOO_MUCH, 413) if sum(file.stat().st_size for file in unread) > MOST else None
