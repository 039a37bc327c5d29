"""A fuzzer's way in: bytes that atheris makes up, led by what they reach, through each door that reads a stranger's.

    python -m tests.fuzz 60          # for so many seconds

The first byte chooses the door, the rest goes in. A door may refuse with its own error, in one sentence; anything
else ends the run and leaves the bytes in a file named crash-*.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path

import atheris
from PIL import Image

with atheris.instrument_imports(
    include=["app.photo", "app.demo.calls", "app.demo.api_values", "app.demo.wishes", "app.study.archive"]
):
    from app import photo
    from app.demo.calls import fault
    from app.study.archive import Zip

from app.photo import PhotoError
from app.study.errors import StudyError
from engines.checkpoints import registry
from tests.test_photo import saved

CALLS = ("protect", "reveal", "erase", "forge")
CARDS = registry()


def one_sentence(text: str) -> None:
    """What a person is told: one line that ends, and never our own fault."""
    assert text.endswith(".") and "\n" not in text and "on our side" not in text, text


def decoder(data: bytes) -> None:
    """A photo."""
    try:
        photo.load(data)
    except PhotoError as error:
        one_sentence(str(error))


def call(data: bytes) -> None:
    """JSON to an endpoint of the API."""
    with suppress(ValueError, RecursionError):
        event = json.loads(data)
        for name in CALLS:
            if (said := fault(f"/gradio_api/call/{name}", event, CARDS)) is not None:
                one_sentence(said)


def archive(data: bytes) -> None:
    """A study's ZIP: as it is, and as a picture in a whole one."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as box:
        box.writestr("a.png", data)
    for packed in (data, whole.getvalue()):
        try:
            box = Zip(packed)
            for name in box.names():
                box.read(name)
        except StudyError as error:
            one_sentence(str(error))


DOORS = (decoder, call, archive)


def through(data: bytes) -> None:
    """One input."""
    if data:
        DOORS[data[0] % len(DOORS)](data[1:])


def seeds() -> list[bytes]:
    """What each door lets in: a start for the fuzzer."""
    picture = Image.new("RGB", (70, 66), (200, 150, 120))
    event = json.dumps(
        {
            "data": [
                {"path": "photo.png", "meta": {"_type": "gradio.FileData"}},
                ["Grace Hopper"],
                None,
                "tip-im",
                {"steps": 3},
            ]
        }
    ).encode()
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as box:
        box.writestr("a.png", saved(picture, "PNG"))
    photos = [saved(picture, format) for format in ("JPEG", "PNG", "WEBP", "HEIF", "AVIF")]
    return [*(b"\0" + data for data in photos), b"\1" + event, b"\2" + whole.getvalue()]


def main() -> None:
    """Fuzz."""
    seconds = sys.argv[1] if len(sys.argv) > 1 else "60"
    options = [f"-max_total_time={seconds}", "-max_len=4096", "-rss_limit_mb=3000", "-verbosity=0"]
    with tempfile.TemporaryDirectory() as folder:
        for i, data in enumerate(seeds()):
            (Path(folder) / str(i)).write_bytes(data)
        atheris.Setup([sys.argv[0], *options, folder], through)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
