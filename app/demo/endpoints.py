"""The hidden components that carry the endpoints of `api.py`.

Hidden components carry them, rather than gr.api(), because theirs are the checks that a path in a
request is a file that the caller has uploaded.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from app import gallery
from app.compare.entries import USUAL as ENTRIES
from app.compare.threats import SEARCH, THREATS
from app.demo import line
from app.demo.api import Api
from app.demo.session import Desk
from app.demo.wishes import FORMATS
from app.forge import ALL_EDITS, USUAL
from app.reveal import DEFAULT_KEY
from app.runtime import Runtime
from app.watermarks import USUAL as WORDS
from engines.methods import METHODS

LIGHT: dict[str, Any] = {"concurrency_id": "light", "concurrency_limit": 4}
HEAVY: dict[str, Any] = {"concurrency_id": line.HEAVY, "concurrency_limit": 1}


def add(runtime: Runtime, desk: Desk) -> None:
    """Add the endpoints to the Blocks being built; nothing of it is seen on the page."""
    endpoints = Api(runtime, desk)
    with gr.Column(visible=False):
        for draw in (_protect, _score, _reveal, _erase, _forge, _compare, _survive, _stolen, _study, _catalogue):
            draw(endpoints)


def _protect(endpoints: Api) -> None:
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
        gr.Textbox("", label="identity: what dip-watermark writes, a name or 24 bits"),
        gr.Textbox(DEFAULT_KEY, label="key: whoever reads the mark needs the same one"),
        gr.Textbox(WORDS, label="words: the model's watermark, for a method whose pictures carry one"),
        gr.File(label="watermark: a picture that is the watermark instead of words"),
    ]
    outputs = [
        gr.File(label="the protected file"),
        gr.JSON(label="the report: scores, verdict, survival, provenance"),
    ]
    gr.Button("Protect").click(endpoints.protect, inputs, outputs, api_name="protect", **HEAVY)


def _score(endpoints: Api) -> None:
    asked = [
        gr.File(label="photo: the photo to score"),
        gr.File(label="against: a photo of the person"),
        gr.JSON(value=[], label="judges: ids of the recognisers that score; none means the usual panel"),
        gr.Number(0.01, label="far: false-acceptance rate of the thresholds, 0.01 or 0.001"),
    ]
    found = gr.JSON(label="a row a recogniser, and the verdict")
    gr.Button("Score").click(endpoints.score, asked, found, api_name="score", **HEAVY)


def _reveal(endpoints: Api) -> None:
    readable = [id for id, method in METHODS.items() if hasattr(method, "read")]
    asked = [
        gr.File(label="photo: the photo"),
        gr.Textbox(DEFAULT_KEY, label="key: the one that the mark was made with"),
        gr.Textbox("", label="claim: a registered name or 24 bits, to accept or reject"),
        gr.Dropdown(readable, value=readable[0], label="method: id of the method that left the mark"),
    ]
    found = gr.JSON(label="one row a face; with a claim, whether it is accepted")
    gr.Button("Reveal").click(endpoints.reveal, asked, found, api_name="reveal", **HEAVY)


def _erase(endpoints: Api) -> None:
    able = [id for id, method in METHODS.items() if hasattr(method, "erase")]
    if not able:
        return
    asked = [
        gr.File(label="photo: the masked photo"),
        gr.Dropdown(able, value=able[0], label="method: id of the method that masked it"),
        gr.Textbox("", label="restorer: by whom it is taken off; none means by whom the file names"),
        gr.File(label="original: the photo before it was masked, to compare with"),
        gr.File(label="reference: another photo of the person, to compare with"),
        gr.Number(0.01, label="far: false-acceptance rate of the thresholds, 0.01 or 0.001"),
        gr.Textbox("", label="words: the model's watermark that is expected"),
        gr.File(label="watermark: a picture that is expected instead of words"),
    ]
    outputs = [
        gr.File(label="the photo without its mask"),
        gr.JSON(label="the report: scores of both files, verdict, provenance"),
    ]
    gr.Button("Erase").click(endpoints.erase, asked, outputs, api_name="erase", **HEAVY)


def _forge(endpoints: Api) -> None:
    asked = [
        gr.File(label="photo: the original photo"),
        gr.File(label="protected: the file that a protection made of it"),
        gr.Dropdown(list(ALL_EDITS), value=USUAL, label="edit: what is changed"),
        gr.JSON(value=[], label="forgers: ids of the forgers; none means all that are there"),
    ]
    outputs = [
        gr.File(label="the wall, labelled"),
        gr.JSON(label="a row a forger: L2-face, ID similarity, defended or not"),
    ]
    gr.Button("Forge").click(endpoints.forge, asked, outputs, api_name="forge", **HEAVY)


def _compare(endpoints: Api) -> None:
    asked = [
        gr.File(file_count="multiple", label="photos: the photos, the largest face of each"),
        gr.JSON(value=list(ENTRIES), label="entries: texts method:preset, or objects with method, params and a name"),
        gr.CheckboxGroup(list(gallery.NAMES), value=[], label="targets: names of built-in faces"),
        gr.Number(0.01, label="far: false-acceptance rate of the thresholds, 0.01 or 0.001"),
        gr.Number(0, label="seed: the same one gives the same files"),
        gr.JSON(value=[], label="surrogates: ids of the recognisers to attack; none means the usual one"),
        gr.JSON(value=[], label="judges: ids that only score the files; none means every judge that is there"),
        gr.Textbox("", label="sweep: a setting and steps or values, such as tip-im.gamma:5 or tip-im.gamma:0,0.5,2"),
    ]
    outputs = [
        gr.File(label="all files, tables and the figure, as a ZIP"),
        gr.JSON(label="a row an entry: means, verdict, each photo"),
    ]
    gr.Button("Compare").click(endpoints.compare, asked, outputs, api_name="compare", **HEAVY)


def _survive(endpoints: Api) -> None:
    asked = [
        gr.File(label="photo: the photo, such as a file that a protection made"),
        gr.File(label="against: a photo of the person"),
        gr.JSON(value={}, label="changes: any of blur, scale, noise, jpeg; none means JPEG 75"),
        gr.JSON(value=[], label="judges: ids of the recognisers that score; none means the usual panel"),
        gr.Number(0.01, label="far: false-acceptance rate of the thresholds, 0.01 or 0.001"),
    ]
    outputs = [gr.File(label="the changed photo"), gr.JSON(label="the scores before and after")]
    gr.Button("Survive").click(endpoints.survive, asked, outputs, api_name="survive", **HEAVY)


def _stolen(endpoints: Api) -> None:
    asked = [
        gr.File(label="photo: the photo"),
        gr.Dropdown(list(gallery.NAMES), value=gallery.HOPPER, label="face: name of the built-in face to put on"),
    ]
    outputs = [gr.File(label="what was drawn, and what is read in it"), gr.JSON(label="a row a picture, the verdict")]
    gr.Button("Stolen").click(endpoints.stolen, asked, outputs, api_name="stolen", **HEAVY)


def _study(endpoints: Api) -> None:
    asked = [
        gr.File(label="photo: the photo as it was before"),
        gr.File(file_count="multiple", label="files: what methods made of it"),
        gr.Textbox("", label="method: id of the method, for files that do not name theirs"),
        gr.JSON(value=[], label="conditions: a name in the study for each file; none means method and settings"),
    ]
    sent = gr.JSON(label="the code to enter in the study workbench")
    gr.Button("Send to a study").click(endpoints.send_to_study, asked, sent, api_name="send_to_study", **LIGHT)


def _catalogue(endpoints: Api) -> None:
    """What there is: no job, so nobody waits in line for it."""
    method = gr.Textbox("", label="method: id of one method; none means all")
    kind = gr.Textbox("", label="kind: one kind of network; none means all")
    threat = gr.Dropdown(list(THREATS), value=SEARCH, label="threat: whom one wants to be protected against")
    register = gr.Textbox("", label="register: a name to register first")
    forget = gr.Textbox("", label="forget: a name to forget first")
    asked = {"methods": [method], "models": [kind], "claims": [threat], "identities": [register, forget]}
    for name, inputs in asked.items():
        found = gr.JSON(label=f"{name}: a row each")
        gr.Button(name.title()).click(getattr(endpoints, name), inputs, found, api_name=name, **LIGHT)
