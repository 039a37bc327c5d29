"""Who asks: each browser gets a secret cookie, and files are served to the visitor whose they are, to nobody else.

Gradio serves any file of its folder to whoever knows the address. Here everything lies in a folder named by a hash
of the cookie, so that a name on the disk or in an address gives no cookie away. An address of the queue belongs to
the first visitor who uses it. Gradio answers pages of other sites, with cookies; here they are refused.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections import OrderedDict
from contextvars import ContextVar
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "larvatus"
SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
FILE = re.compile(r"^(?:/gradio_api)?/file[=/](.*)$", re.DOTALL)
CLOSED = re.compile(r"^(?:/gradio_api)?/(?:proxy=|stream/|monitoring)")  # what no part of the demo uses
QUEUE = re.compile(r"^(?:/gradio_api)?/(?:queue/data|heartbeat/([^/]+)|call(?:/v2)?/[^/]+/([^/]+))/?$")
ELSEWHERE = "Pages of other sites may not use this app: open it by its own address."
REMEMBERED = 20_000  # sessions whose visitor is known

asking: ContextVar[str] = ContextVar("asking", default="nobody")
"""The folder of the visitor whose request is being answered."""

POLICY = "; ".join(
    [
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",  # Gradio's page and Plotly
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "frame-ancestors 'self' https://huggingface.co",
    ]
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def folder_of(secret: str) -> str:
    """The name of a visitor's folder: 32 hexadecimal digits."""
    return hashlib.sha256(secret.encode()).hexdigest()[:32]


def visitor_of(request: Any) -> str:
    """The same of a Gradio request; that of nobody where it came past `Visitors`, as in tests of single functions."""
    cookies = getattr(request, "cookies", None) or {}
    get = cookies.get if hasattr(cookies, "get") else lambda name, other: getattr(cookies, name, other)
    return folder_of(str(get(COOKIE, "")))


class Owners:
    """Whose a session or an event of the queue is: the first visitor's who uses its name."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, str] = OrderedDict()

    def mine(self, name: str) -> bool:
        """Whether it belongs to whoever asks now."""
        owner = self._known.setdefault(name, asking.get())
        self._known.move_to_end(name)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return owner == asking.get()


class Visitors:
    """ASGI middleware in front of the whole app; `root` is the folder in which visitors' folders lie."""

    def __init__(self, app: ASGIApp, root: Path, owners: Owners | None = None):
        self.app, self.root, self.owners = app, root.resolve(), owners or Owners()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers = dict(scope["headers"])
        if _foreign(headers):
            return await JSONResponse({"detail": ELSEWHERE}, 403)(scope, receive, send)
        secret, fresh = _secret(headers.get(b"cookie", b"").decode("latin-1"))
        if fresh:  # the first event must see who asks, too
            given = [pair for pair in scope["headers"] if pair[0] != b"cookie"]
            cookie = "; ".join(filter(None, [headers.get(b"cookie", b"").decode("latin-1"), f"{COOKIE}={secret}"]))
            scope = {**scope, "headers": [*given, (b"cookie", cookie.encode("latin-1"))]}
        file = FILE.match(scope["path"])
        safe = _safe(scope, headers)
        sent = _sending(send, _cookie(secret, safe) if fresh else None, file is not None, safe)
        asking.set(folder_of(secret))
        if not self._may(scope, folder_of(secret)):
            answer = JSONResponse({"detail": "Nothing of yours is at this address: make it again."}, 404)
            return await answer(scope, receive, sent)
        await self.app(scope, receive, sent)

    def _may(self, scope: Scope, visitor: str) -> bool:
        path = scope["path"]
        if CLOSED.match(unquote(path)):
            return False
        if found := FILE.match(unquote(path)):  # as it is written, and however often it is read
            return self._lies_in(found[1], visitor) and self._lies_in((FILE.match(path) or found)[1], visitor)
        if scope["method"] != "POST" and (found := QUEUE.match(unquote(path))):
            asked = parse_qs(scope["query_string"].decode("latin-1")).get("session_hash", [""])[0]
            return self.owners.mine(found[1] or found[2] or asked)
        return True

    def _lies_in(self, file: str, visitor: str) -> bool:
        try:
            return Path(file).resolve().is_relative_to(self.root / visitor)
        except (OSError, ValueError):  # a null byte, a name that is too long
            return False


def _foreign(headers: dict[bytes, bytes]) -> bool:
    """Whether a page of another site asks, by what the browser says of it; programs say nothing.

    A proxy may keep the address as it was asked for in X-Forwarded-Host, which no page can send unasked.
    """
    if (origin := headers.get(b"origin")) is None:
        return False
    own = {headers.get(name, b"").decode("latin-1") for name in (b"host", b"x-forwarded-host")} - {""}
    return urlsplit(origin.decode("latin-1")).netloc not in own


def _secret(cookie: str) -> tuple[str, bool]:
    """The visitor's secret, and whether it is a new one: 256 random bits."""
    try:
        found = SimpleCookie(cookie).get(COOKIE)
    except CookieError:
        found = None
    if found is not None and SECRET.fullmatch(found.value):
        return found.value, False
    return secrets.token_urlsafe(32), True


def _safe(scope: Scope, headers: dict[bytes, bytes]) -> bool:
    """Whether the browser came by TLS, here or as far as the proxy."""
    return b"https" in (scope.get("scheme", "").encode(), headers.get(b"x-forwarded-proto", b"").split(b",")[0])


def _cookie(secret: str, safe: bool) -> str:
    """What sets it: until the browser is closed, out of scripts' reach; inside the frame of a Space, too."""
    place = "Secure; SameSite=None; Partitioned" if safe else "SameSite=Lax"
    return f"{COOKIE}={secret}; Path=/; HttpOnly; {place}"


def _sending(send: Send, cookie: str | None, private: bool, safe: bool) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            more = dict(HEADERS)
            if private:
                more["Cache-Control"] = "private, no-store"
            if safe:
                more["Strict-Transport-Security"] = "max-age=31536000"
            named = {name.lower().encode() for name in more}
            kept = [pair for pair in message.get("headers", []) if pair[0].lower() not in named]
            kept += [(name.lower().encode(), value.encode()) for name, value in more.items()]
            message = {**message, "headers": kept + ([(b"set-cookie", cookie.encode())] if cookie else [])}
        await send(message)

    return sent
