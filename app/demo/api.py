"""The endpoint /protect of the Gradio API: the Protect tab for programs, with named parameters.

Hidden components carry it, rather than gr.api(), because theirs are the checks that a path in a
request is a file that the caller has uploaded.
"""

from __future__ import annotations

import json
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import gradio as gr

from app import gallery
from app.demo.errors import sentence
from app.demo.session import taken
from app.jobs import Request, protect
from app.panel import PanelError, panel_of
from app.report import Result
from app.runtime import Runtime
from app.scoring import JobError, Person, find_person
from engines.methods import METHODS
from engines.params import ParamError

FORMATS = ("PNG", "JPEG")


class Api:
    """The endpoint on one runtime."""

    def __init__(self, runtime: Runtime, folder: Path):
        self.runtime, self.folder = runtime, folder

    def protect(
        self,
        photo: str,
        targets: list[str] | None = None,
        target_photos: list[str] | None = None,
        method: str = "tip-im",
        params: Any = None,
        reference: str | None = None,
        seed: float = 0,
        far: float = 0.01,
        format: str = "PNG",
        quality: float = 95,
        surrogates: list[str] | None = None,
        judges: list[str] | None = None,
    ) -> tuple[str, dict[str, Any]]:
        """Protect the largest face in a photo, and score the exported file.

        Args:
            photo: The photo, as a file.
            targets: Names of built-in faces to steer recognisers towards.
            target_photos: Photos of targets, who must have agreed or not exist.
            method: The id of the method, such as tip-im.
            params: Settings of the method, as an object or JSON text; what is left out has the paper's value.
            reference: Another photo of the same person, for a stricter test.
            seed: The seed; the same one gives the same file.
            far: False-acceptance rate of the thresholds: 0.01 or 0.001.
            format: PNG or JPEG.
            quality: JPEG quality, 1 to 100.
            surrogates: Ids of the recognisers to attack; none means the usual one.
            judges: Ids of the recognisers that only score the file; none means every judge that is there.

        Returns:
            The protected file, and the report: scores, verdict, survival, provenance.
        """
        try:
            people = [gallery.person(self.runtime, name) for name in targets or ()]
            people += [self._person(path) for path in target_photos or ()]
            if format not in FORMATS:
                raise JobError("The format must be PNG or JPEG.")
            job = Request(
                self._person(photo),
                method,
                read(params),
                tuple(people),
                self._person(reference) if reference else None,
                panel_of(self.runtime.cards, ids(surrogates), ids(judges)),
                seed=int(seed or 0),
                far=float(far),
                format=format,
                quality=int(quality or 95),
            )
            with closing(protect(self.runtime, job)) as work:
                result = next(item for item in work if isinstance(item, Result))
        except Exception as error:
            raise gr.Error(sentence(error), print_exception=False) from None
        folder = Path(tempfile.mkdtemp(prefix="api-", dir=self.folder))
        file = folder / result.name
        file.write_bytes(result.file)
        return str(file), result.as_dict()

    def _person(self, path: str) -> Person:
        if not path:
            raise JobError("There is no photo: give one as `photo`.")
        return find_person(self.runtime, Path(path).name, taken(path))


def read(params: Any) -> dict[str, Any]:
    """Settings given as an object or as JSON text. Raises ParamError."""
    try:
        values = json.loads(params) if isinstance(params, str) and params.strip() else params or {}
    except json.JSONDecodeError:
        raise ParamError("The settings (params) are not valid JSON.") from None
    if not isinstance(values, dict):
        raise ParamError('The settings (params) must be an object such as {"gamma": 1.0}.')
    return values


def ids(given: Any) -> list[str]:
    """Ids given as a list. Raises PanelError."""
    if not isinstance(given or [], list) or not all(isinstance(id, str) for id in given or []):
        raise PanelError('Surrogates and judges are lists of ids, such as ["sface"].')
    return list(given or [])


def add(runtime: Runtime, folder: Path) -> None:
    """Add the endpoint to the Blocks being built; nothing of it is seen on the page."""
    with gr.Column(visible=False):
        inputs = [
            gr.File(label="photo: the photo"),
            gr.CheckboxGroup(list(gallery.NAMES), value=[], label="targets: names of built-in faces"),
            gr.File(
                file_count="multiple",
                label="target_photos: photos of targets, who must have agreed or not exist",
            ),
            gr.Dropdown(list(METHODS), value="tip-im", label="method: id of the method"),
            gr.JSON(value={}, label="params: settings of the method; what is left out has the paper's value"),
            gr.File(label="reference: another photo of the same person, for a stricter test"),
            gr.Number(0, label="seed: the same one gives the same file"),
            gr.Number(0.01, label="far: false-acceptance rate of the thresholds, 0.01 or 0.001"),
            gr.Radio(list(FORMATS), value="PNG", label="format: PNG or JPEG"),
            gr.Number(95, label="quality: of a JPEG, 1 to 100"),
            gr.JSON(value=[], label="surrogates: ids of the recognisers to attack; none means the usual one"),
            gr.JSON(value=[], label="judges: ids that only score the file; none means every judge that is there"),
        ]
        outputs = [
            gr.File(label="the protected file"),
            gr.JSON(label="the report: scores, verdict, survival, provenance"),
        ]
        gr.Button("Protect").click(
            Api(runtime, folder).protect,
            inputs,
            outputs,
            api_name="protect",
            concurrency_id="heavy",
            concurrency_limit=1,
        )
