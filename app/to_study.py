"""A result of the demo on its way to the study workbench: left there under a code, with what was measured on it."""

from __future__ import annotations

import hashlib
import os
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from app import photo as photos
from app.made import Made
from app.report import Result

if TYPE_CHECKING:
    from app.study.incoming import Incoming

VARIABLE = "LARVATUS_WORKBENCH"
CONSENT = "Only send photos of people who agreed to be shown to raters."


def offered() -> bool:
    """Where the workbench may share this computer's folder of studies; on a Space, where its address is given."""
    return bool(address()) or not os.environ.get("SPACE_ID")


def address() -> str:
    """The workbench's, from LARVATUS_WORKBENCH; "" where nobody said it."""
    found = os.environ.get(VARIABLE, "")
    return found if found.startswith(("http://", "https://")) else ""


def measured(result: Result) -> dict[str, float]:
    """What a result's tables say in numbers, for a study's: SSIM, PSNR (dB), and cosines to the original."""
    found = {"SSIM": result.ssim, "PSNR": result.psnr}
    found |= {
        f"cosine {score.recogniser} ({score.role})": score.to_self
        for score in result.scores
        if score.to_self is not None
    }
    return {name: float(value) for name, value in found.items() if np.isfinite(value)}


def pictures(made: Made, condition: str = "") -> list[Incoming]:
    """The photo as it was put in, and its protected file; both under one name, which no other photo has.

    `condition`: the file's name in the study; without one it is called after method and settings.
    """
    from app.study.incoming import Incoming  # brings the database's library along: half a second at a start

    original = photos.encode(made.person.photo.pixels, "PNG")
    name = f"{made.person.name} {hashlib.sha256(original).hexdigest()[:6]}"
    parameters = dict(made.settings.get("provenance", {}).get("params", {}))
    plain = {key: value for key, value in parameters.items() if isinstance(value, bool | int | float | str)}
    about = {"measures": made.measures, "provenance": made.settings}
    version = Incoming(made.file, name, method=made.method, parameters=plain, condition=condition, **about)
    return [Incoming(original, name, role="reference"), version]


def send(*made: Made) -> str:
    """Leave them in the inbox, each original once; what to do with the code, as HTML.

    Raises StudyError where nothing more fits.
    """
    from app.study import inbox

    found = [picture for one in made for picture in pictures(one)]
    originals = {picture.photo: picture for picture in found if picture.role == "reference"}
    code = inbox.leave([*originals.values(), *(picture for picture in found if picture.role != "reference")])
    where = f'<a href="{escape(address(), quote=True)}" target="_blank">the study workbench</a>' if address() else ""
    where = where or "the study workbench (<code>make workbench</code>)"
    return (
        f"Sent. In {where}, under Design, Pictures, “From the demo”, enter the code "
        f"<code>{escape(code)}</code>. It waits there for a day. {CONSENT}"
    )
