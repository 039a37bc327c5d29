"""The endpoint of "A stolen model": imitators of IPMN at work, and the watermark that is read in what they draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

import gradio as gr
import numpy as np
import torch
from PIL import Image

from app import gallery, stolen
from app import photo as photos
from app.demo.api_base import Base, checked
from app.demo.stolen import NOTE, verdict
from app.forge import labelled
from app.scoring import JobError

ITSELF = "Control: the photo itself"  # the one picture that nobody has drawn
SIDE = 256  # pixels of a tile


class Theft(Base):
    """`stolen`."""

    @checked
    def stolen(
        self,
        photo: str,
        face: str = gallery.HOPPER,
        request: Optional[gr.Request] = None,  # noqa: UP045  Gradio looks for this very annotation
    ) -> tuple[str, dict[str, Any]]:
        """Let networks that stole IPMN by imitating it put another face on, and read the watermark in what they draw.

        Args:
            photo: The photo, as a file; its owner must have agreed.
            face: The name of the built-in face to put on.

        Returns:
            One picture, a row each: drawn, read in it, expected; and the rows: NC, whether it gives the thief away.
        """
        person = self._person(photo)
        if not stolen.offered():
            raise JobError(stolen.NOTHING)
        rows = stolen.demonstrate(self.runtime, person, gallery.person(self.runtime, face))
        report = {"rows": [row.as_dict() for row in rows], "verdict": verdict(rows), "notes": [NOTE]}
        return self.desk.of(request).write("larvatus-stolen.png", encoded(rows)), report


def encoded(rows: Sequence[stolen.Stolen]) -> bytes:
    """A PNG, a row for each in their order. What was drawn says that it is forged; white: nothing is expected."""
    board = np.concatenate([np.concatenate([*map(_sized, _tiles(row))], 1) for row in rows], 0)
    pixels = torch.from_numpy(board).permute(2, 0, 1)[None].contiguous()
    return photos.encode(pixels, "PNG", 100, {"larvatus": 1, "stolen": [row.as_dict() for row in rows]})


def _tiles(row: stolen.Stolen) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    drawn = row.picture if row.drawn_by == ITSELF else labelled(row.picture)
    white = np.full((SIDE, SIDE, 3), 255, np.uint8)
    return drawn, row.carried.found, white if row.expected is None else row.expected


def _sized(tile: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(tile).resize((SIDE, SIDE), Image.Resampling.NEAREST))
