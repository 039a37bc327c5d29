"""Small runs for the tests of `bench run`: two real faces and a broken file, fast methods, two small recognisers."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from app import gallery
from app.bench.run.loop import Inline
from app.bench.run.progress import Progress
from app.bench.run.session import compute, prepare
from app.bench.run.spec import Spec, load
from app.bench.run.store import Store
from app.bench.run.work import Work

SPEC = """
title = "Two faces"
attacked = ["compact-vgg"]
held_out = ["compact-inception"]
distortions = ["jpeg30"]

[photos]
name = "portraits"
folder = "photos"
labels = ["tint"]
person = "who"

[targets]
names = ["Grace Hopper"]

[[methods]]
id = "fgsm"

[[methods]]
id = "pgd"
params = { steps = 2 }
"""
LABELS = "file,who,tint\na.png,Collins,light\nb.png,Collins,dark\nbroken.png,Nobody,dark\n"
ROWS = 3 * 3 * 2 * 3  # photos, settings, distortions, and the file with two recognisers


def portrait(darkest: int, size: int = 300) -> bytes:
    """Eileen Collins, her brightest pixels cut off."""
    image = Image.open(io.BytesIO(gallery.portrait(gallery.COLLINS))).resize((size, size))
    file = io.BytesIO()
    image.point(lambda value: min(value, darkest)).save(file, "PNG")
    return file.getvalue()


def write(folder: Path) -> Path:
    """The photos and the spec in a folder; gives the spec's path."""
    photos = folder / "photos"
    photos.mkdir()
    (photos / "a.png").write_bytes(portrait(255))
    (photos / "b.png").write_bytes(portrait(200))
    (photos / "broken.png").write_bytes(portrait(255)[:2000])
    (photos / "labels.csv").write_text(LABELS)
    path = folder / "spec.toml"
    path.write_text(SPEC)
    return path


def run(spec: Spec | Path, out: Path, backend=None, seen=lambda event: None, again: bool = False):
    """All rows as an Arrow table; `backend(setup)` makes the workers, this process where it is None."""
    prepared = prepare(load(spec) if isinstance(spec, Path) else spec)
    with Store(out, again) as store:
        workers = backend or (lambda setup: Inline(Work, setup))
        return compute(prepared, store, workers, Progress(len(prepared.plan), 0, io.StringIO()), seen)
