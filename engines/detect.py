"""Photograph to faces: the MTCNN of facenet-pytorch (Zhang et al., 2016), whose weights ship in the package."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engines.checkpoints import CheckpointError, sha256_of_file
from engines.face import ARCFACE112, Face

LONGEST_SIDE = 1024  # larger photos are searched at this size: MTCNN's cost grows with the area
SMALLEST_FACE = 28  # in pixels of the searched picture
NETWORKS = {  # facenet-pytorch's own files, and their SHA-256
    "pnet.pt": "a2a71925e0b9996a42f63e47efc1ca19043e69558b5c523b978d611dfae49c8f",
    "rnet.pt": "bbb937de72efc9ef83b186c49f5f558467a1d7e3453a8ece0d71a886633f6a86",
    "onet.pt": "165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d",
}


class Detector:
    """Finds every face. Safe to share between threads: one search at a time. CheckpointError for a changed file."""

    def __init__(self, device: str = "cpu"):
        import facenet_pytorch  # brings torchvision along: a second and more at a start

        check(Path(facenet_pytorch.__file__).parent / "data")
        self._net = facenet_pytorch.MTCNN(
            keep_all=True, min_face_size=SMALLEST_FACE, post_process=False, device=device
        ).eval()
        self._lock = threading.Lock()

    def faces(self, pixels: Tensor, least: float = 0.9) -> tuple[Face, ...]:
        """Every face in a uint8 photo (1, 3, H, W) with a score of at least `least`, largest first."""
        factor = min(1.0, LONGEST_SIDE / max(pixels.shape[-2:]))
        small = pixels
        if factor < 1:
            size = [max(1, round(n * factor)) for n in pixels.shape[-2:]]
            small = F.interpolate(pixels, size=size, mode="bilinear", antialias=True, align_corners=False)
        if min(small.shape[-2:]) < SMALLEST_FACE:  # a strip: MTCNN has no scale at which to search it
            return ()
        scale = np.array([pixels.shape[-1] / small.shape[-1], pixels.shape[-2] / small.shape[-2]])
        with self._lock, torch.inference_mode():
            boxes, scores, points = self._net.detect(small[0].permute(1, 2, 0).contiguous().numpy(), landmarks=True)
        if boxes is None:
            return ()
        found = (
            Face(
                tuple((box.reshape(2, 2) * scale).ravel().tolist()),
                tuple(map(tuple, (five * scale).tolist())),
                float(p),
            )
            for box, p, five in zip(boxes, scores, points, strict=True)
            if p is not None and p >= least
        )
        return tuple(sorted(found, key=lambda face: face.area, reverse=True))

    def in_box(self, pixels: Tensor, box: tuple[float, float, float, float]) -> Face:
        """The face in a box that a person drew, (x0, y0, x1, y1) in photo pixels.

        Searches the box with a low threshold; where nothing is found the template's own points
        are laid into the box, with score 0. Raises ValueError for a box that is empty, under
        24 pixels a side, or outside the photo.
        """
        height, width = pixels.shape[-2:]
        x0, y0, x1, y1 = (round(v) for v in box)
        x0, y0, x1, y1 = max(0, x0), max(0, y0), min(width, x1), min(height, y1)
        if x1 - x0 < 24 or y1 - y0 < 24:
            raise ValueError("The box is too small: draw it around the whole face, at least 24 pixels a side.")
        margin = max(x1 - x0, y1 - y0) // 4
        left, top = max(0, x0 - margin), max(0, y0 - margin)
        found = self.faces(pixels[..., top : y1 + margin, left : x1 + margin], least=0.5)
        for face in found:
            moved = _moved(face, left, top)
            if x0 <= moved.landmarks[2][0] <= x1 and y0 <= moved.landmarks[2][1] <= y1:
                return moved
        return _laid_into(x0, y0, x1, y1)


def check(folder: Path) -> None:
    """CheckpointError for the first of NETWORKS in a folder that is missing or not what was published."""
    for name, sha256 in NETWORKS.items():
        path = folder / name
        if not path.is_file() or sha256_of_file(path) != sha256:
            advice = "install it again (pip install --force-reinstall --no-deps facenet-pytorch==2.5.3)"
            raise CheckpointError(f"The face detector's file {name} is not what facenet-pytorch published: {advice}.")


def _moved(face: Face, dx: float, dy: float) -> Face:
    x0, y0, x1, y1 = face.box
    points = tuple((x + dx, y + dy) for x, y in face.landmarks)
    return Face((x0 + dx, y0 + dy, x1 + dx, y1 + dy), points, face.score)


def _laid_into(x0: float, y0: float, x1: float, y1: float) -> Face:
    """The ArcFace template's points in a box: MTCNN's boxes span about 15..94 x 19..114 of its 112 pixels."""
    points = tuple((x0 + (x - 15) / 79 * (x1 - x0), y0 + (y - 19) / 95 * (y1 - y0)) for x, y in ARCFACE112.points)
    return Face((x0, y0, x1, y1), points, 0.0)
