"""How long a visitor waits: the default run on a one-megapixel portrait, after a warm-up run."""

from __future__ import annotations

import time
from typing import Any

import torch
import torch.nn.functional as F

from app import gallery
from app import photo as photos
from app.jobs import protect
from app.making import Request
from app.report import Progress
from app.runtime import Runtime
from app.scoring import find_person


def measure() -> dict[str, Any]:
    """TIP-IM, 50 steps, two targets (a portrait and its mirror image), SFace, PNG: the times of the second run."""
    runtime = Runtime()
    sitter, target = gallery.person(runtime, gallery.COLLINS), gallery.person(runtime, gallery.HOPPER)
    large = F.interpolate(sitter.photo.pixels, size=(1000, 1000), mode="bilinear", antialias=True)
    mirror = find_person(runtime, "mirror", photos.Photo(target.photo.pixels.flip(3), "PNG"))
    request = Request(find_person(runtime, "portrait", photos.Photo(large, "PNG")), targets=(target, mirror))
    list(protect(runtime, request))
    start, first = time.perf_counter(), None
    for event in protect(runtime, request):
        if first is None and isinstance(event, Progress) and event.preview is not None:
            first = time.perf_counter() - start
    row = {"first_picture_s": first, "whole_run_s": time.perf_counter() - start, "threads": torch.get_num_threads()}
    return {"rows": [row], "provenance": {"command": "python -m app bench default-run"}}


def add_parser(names: Any) -> None:
    """`bench default-run`."""
    names.add_parser("default-run", help="seconds of the default run").set_defaults(func=lambda args: measure())
