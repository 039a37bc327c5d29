"""The endpoints as tools for assistants: the Model Context Protocol, over HTTP at /mcp.

Pictures come in base64 and go out as pictures. Gradio's own server for the protocol would fetch them from addresses,
which nothing here may (`asked.py`). Each call is a visitor of its own, who uploads, waits in line and is forgotten
like any other program.
"""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_type_hints

import httpx
from gradio.utils import get_function_description
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from app.demo.api import Api
from app.demo.calls import FILES, LISTS, fault, kind
from app.demo.room import room
from app.demo.wishes import CHECKS, CHOICES
from engines.checkpoints import registry
from engines.params import ParamError

PATH = "/mcp"
MOST = 70_000_000  # bytes of a request: two photos of the largest size, in base64
AT_ONCE = 3  # requests that are read at a time, for what they take of memory; the others wait
VERSION = tomllib.loads((Path(__file__).resolve().parents[2] / "pyproject.toml").read_text())["project"]["version"]
TEXT = {"type": "string"}
PICTURE = {**TEXT, "contentEncoding": "base64"}
SCHEMAS: dict[str, dict[str, Any]] = {
    "file": PICTURE,
    "list of files": {"type": "array", "items": PICTURE},
    "text": TEXT,
    "number": {"type": "number"},
    "list of texts": {"type": "array", "items": TEXT},
    "object or JSON text": {},
}
KINDS = {".png": "image/png", ".jpg": "image/jpeg", ".zip": "application/zip"}


def tool(name: str) -> types.Tool:
    """An endpoint as a tool: its words, its parameters and which of them it cannot do without."""
    work = getattr(Api, name)
    does, words, returns = get_function_description(work)
    hints = get_type_hints(work)
    asked = {one.name: one for one in inspect.signature(work).parameters.values()}
    names = [one for one in asked if one not in ("self", "request")]
    more = {one: f"{words[one]} In base64, or as data URL." if one in FILES else words[one] for one in names}
    properties = {one: {**_schema(name, one, kind(one, hints[one])), "description": more[one]} for one in names}
    needed = [one for one in names if asked[one].default is inspect.Parameter.empty]
    schema = {"type": "object", "properties": properties, "required": needed, "additionalProperties": False}
    return types.Tool(name=name, description=f"{does}\n\nReturns: {' '.join(returns)}", inputSchema=schema)


def _schema(endpoint: str, name: str, plain: str) -> dict[str, Any]:
    """What a value may be, as JSON Schema."""
    schema, few = SCHEMAS[plain], CHOICES.get((endpoint, name)) or CHOICES.get(name)
    if few is None:
        return schema
    return {**schema, "items": {**TEXT, "enum": list(few)}} if "items" in schema else {**schema, "enum": list(few)}


def unpacked(arguments: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The arguments, with a file in `folder` for each picture. Raises ParamError for what is no base64."""
    found = {name: value for name, value in arguments.items() if value is not None}
    for name in FILES & found.keys():
        several = found[name] if name in LISTS else [found[name]]
        if not isinstance(several, list):
            raise ParamError(f"`{name}` must be a list of pictures in base64.")
        files = [handle_file(_file(name, text, folder / f"{name}-{i}")) for i, text in enumerate(several)]
        found[name] = files if name in LISTS else files[0]
    return found


def _file(name: str, text: Any, path: Path) -> Path:
    try:
        plain = "".join(text.partition(",")[2 if text.startswith("data:") else 0].split())
        path.write_bytes(base64.b64decode(plain, validate=True))
    except (AttributeError, ValueError):
        raise ParamError(f"`{name}` must be a picture file in base64, or its data URL.") from None
    return path


def packed(answer: Any) -> list[types.ContentBlock]:
    """What an endpoint answers, as content: a file first, then the report as JSON."""
    *files, report = answer if isinstance(answer, list | tuple) else [answer]
    return [*map(_content, files), types.TextContent(type="text", text=json.dumps(report))]


def _content(path: str) -> types.ContentBlock:
    file = Path(path)
    data, form = base64.b64encode(file.read_bytes()).decode(), KINDS[file.suffix]
    if form.startswith("image/"):
        return types.ImageContent(type="image", data=data, mimeType=form)
    blob = types.BlobResourceContents(uri=f"file:///{file.name}", blob=data, mimeType=form)  # type: ignore[arg-type]
    return types.EmbeddedResource(type="resource", resource=blob)


def call(address: str, name: str, arguments: Mapping[str, Any]) -> list[types.ContentBlock]:
    """Ask the app at an address as any program does. Raises ValueError with a sentence for the person."""
    with tempfile.TemporaryDirectory(prefix="mcp-", dir=room().parent) as folder:
        given = unpacked(arguments, Path(folder))
        if wrong := fault(f"/call/v2/{name}", given, registry()):
            raise ValueError(wrong)
        client = Client(address, verbose=False, analytics_enabled=False, download_files=folder)
        try:
            return packed(client.predict(**given, api_name=f"/{name}"))
        except AppError as error:
            raise ValueError(str(error)) from None
        except httpx.HTTPStatusError as error:
            raise ValueError(error.response.json()["detail"]) from None
        finally:
            client.close()


def server(address: str) -> Server[Any, Any]:
    """The protocol's server of the app at an address."""
    made: Server[Any, Any] = Server("Larvatus", VERSION, "Protect photos of faces, and see what recognisers say.")

    @made.list_tools()  # type: ignore[no-untyped-call,untyped-decorator]
    async def tools() -> list[types.Tool]:
        return [tool(name) for name in CHECKS]

    @made.call_tool(validate_input=False)  # type: ignore[untyped-decorator]
    async def called(name: str, arguments: dict[str, Any]) -> list[types.ContentBlock]:
        if name not in CHECKS:
            raise ValueError(f"There is no tool called {name!r}: choose from {', '.join(CHECKS)}.")
        return await asyncio.to_thread(call, address, name, arguments)

    return made


class Tools:
    """ASGI middleware: /mcp is the protocol's, statelessly; everything else the app's."""

    def __init__(self, app: ASGIApp):
        self.app, self.room = app, asyncio.Semaphore(AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http" or scope["path"].rstrip("/") != PATH:
            return await self.app(scope, receive, send)
        if scope["method"] != "POST":
            answer = JSONResponse({"detail": "This address speaks the Model Context Protocol: send it POST."}, 405)
            return await answer(scope, receive, send)
        host, port = scope["server"]
        manager = StreamableHTTPSessionManager(
            server(f"http://{host}:{port}"), json_response=True, stateless=True, max_request_body_size=MOST
        )
        async with self.room, manager.run():
            await manager.handle_request(scope, receive, send)
