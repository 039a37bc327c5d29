"""What an event may bring: JSON of a sensible size, whose files were uploaded here, while there is room for it.

Gradio would fetch a file whose path is an address, and so ask other servers, or the network behind this one, for
whatever a stranger wishes. Nothing here needs that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

EVENT = re.compile(r"^(?:/gradio_api)?/(?:queue/join|cancel/?$|(?:call|run|api)(?:/|$))")
CANCEL = re.compile(r"/cancel/?$")
MOST = 4_000_000  # bytes of JSON: files are uploaded apart; a page's own events have some kilobytes
TOO_LARGE = "This request is too large: upload files apart, and send what the upload returns."
BROKEN = "This request is no JSON that can be read: send one JSON object."
NO_NUMBER = "This request holds {} where a number is meant: send finite numbers."
FULL = "The queue is full, about {} s: try again then. Nothing of yours is lost."
NOT_YOURS = "Nothing of yours runs under this name: it was done, or another asked for it."
ELSEWHERE = "A file in this request was not uploaded here: upload it first; addresses and other paths are not read."


class Asked:
    """ASGI middleware in front of the app; `root` is the folder in which uploads lie.

    `fault` says of a path and its event what is wrong with what is asked, or None; `wait`, of what is not wrong, the
    seconds until there is room for it, or None. That is answered by 429: of a 503 Gradio's page hides the words.
    `cancel` hears of a program that no longer waits for its job: Gradio itself only stops listening to it. It says
    whether that is theirs to cancel; what is not is answered by 404.
    """

    def __init__(
        self,
        app: ASGIApp,
        root: Path,
        fault: Callable[[str, Any], str | None] = lambda path, event: None,
        wait: Callable[[str, Any], int | None] = lambda path, event: None,
        cancel: Callable[[Any], bool] = lambda event: True,
    ):
        self.app, self.root, self.fault, self.wait, self.cancel = app, root.resolve(), fault, wait, cancel

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http" or scope["method"] != "POST" or not EVENT.match(scope["path"]):
            return await self.app(scope, receive, send)
        body = await _read(receive)
        if refused := self._refused(scope["path"], body):
            return await refused(scope, receive, send)
        await self.app(scope, _again(body or b"", receive), send)

    def _refused(self, path: str, body: bytes | None) -> Response | None:
        if body is None:
            return JSONResponse({"detail": TOO_LARGE}, 413)
        endless: list[str] = []  # NaN and Infinity are no JSON, but Python's parser reads them
        try:
            event = json.loads(body, parse_constant=lambda name: (endless.append(name), float(name))[1])
        except (ValueError, RecursionError):
            return JSONResponse({"detail": BROKEN}, 400)
        if wrong := self.fault(path, event) if all(map(self._lies_here, _files(event))) else ELSEWHERE:
            return JSONResponse({"detail": wrong}, 400)
        if endless:
            return JSONResponse({"detail": NO_NUMBER.format(endless[0])}, 400)
        if (seconds := self.wait(path, event)) is not None:
            return JSONResponse({"detail": FULL.format(seconds)}, 429, {"Retry-After": str(seconds)})
        if CANCEL.search(path) and not self.cancel(event):
            return JSONResponse({"detail": NOT_YOURS}, 404)
        return None

    def _lies_here(self, file: Any) -> bool:
        try:
            return isinstance(file, str) and Path(file).resolve().is_relative_to(self.root)
        except (OSError, ValueError):  # a null byte, a name that is too long
            return False


async def _read(receive: Receive) -> bytes | None:
    """The whole body; None where it is too large."""
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MOST:
            return None
        more = message.get("more_body", False)
    return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """The same body once more, then whatever comes after it."""
    waiting = [body]

    async def received() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return received


def _files(value: Any) -> list[Any]:
    """The paths of all that Gradio could take for a file, however deep, whether it says that it is one or not."""
    found, left = [], [value]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            if one.get("path") is not None:
                found.append(one["path"])
            left.extend(one.values())
        elif isinstance(one, list):
            left.extend(one)
    return found
