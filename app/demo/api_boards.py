"""The endpoints whose answer is a board of pictures: the wall of forgeries, and methods beside each other."""

from __future__ import annotations

from typing import Any, Optional

import gradio as gr

from app import gallery
from app.compare.archive import archive
from app.compare.entries import USUAL as ENTRIES
from app.compare.job import Cell, Comparison, compare, lines
from app.demo.api_base import LEFT, Base, checked
from app.demo.api_values import entries_of, ids
from app.demo.session import taken
from app.forge import USUAL, Wall, build, encoded
from app.photo import load
from app.scoring import JobError


class Boards(Base):
    """`forge` and `compare`."""

    @checked
    def forge(
        self,
        photo: str,
        protected: str,
        edit: str = USUAL,
        forgers: list[str] | None = None,
        request: Optional[gr.Request] = None,  # noqa: UP045  Gradio looks for this very annotation
    ) -> tuple[str, dict[str, Any]]:
        """Forge the largest face in a photo and in its protected version, by every forger, and compare.

        Args:
            photo: The original photo, as a file; its owner must have agreed.
            protected: The file that a protection made of it.
            edit: What is changed, such as blond hair.
            forgers: Ids of the forgers; none means all that are there.

        Returns:
            The wall as one labelled picture, and a row a forger: L2-face, ID similarity, defended or not.
        """
        person = self._person(photo)
        if not protected:
            raise JobError("There is no protected file: give one as `protected`.")
        asked = ids(forgers, "Forgers", "stargan")
        tiles = build(self.runtime, person, load(taken(protected)), edit, asked, self._left(request))
        if (wall := next((item for item in tiles if isinstance(item, Wall)), None)) is None:
            raise JobError(LEFT)
        return self.desk.of(request).write("larvatus-forged.png", encoded(wall)), wall.as_dict()

    @checked
    def compare(
        self,
        photos: list[str],
        entries: Any = None,
        targets: list[str] | None = None,
        far: float = 0.01,
        seed: float = 0,
        surrogates: list[str] | None = None,
        judges: list[str] | None = None,
        sweep: str = "",
        request: Optional[gr.Request] = None,  # noqa: UP045  Gradio looks for this very annotation
    ) -> tuple[str, dict[str, Any]]:
        """Put methods and settings side by side on the same photos.

        Args:
            photos: The photos, as files; the largest face of each counts.
            entries: What is compared: texts such as tip-im:Balanced, or objects with `method`, `params` and a `name`.
            targets: Names of built-in faces for methods that need one; none means one that is not the person.
            far: False-acceptance rate of the thresholds: 0.01 or 0.001.
            seed: The seed; the same one gives the same files.
            surrogates: Ids of the recognisers to attack; none means the usual one.
            judges: Ids of the recognisers that only score the files; none means every judge that is there.
            sweep: A setting for more rows: tip-im.gamma:5 in 5 steps over its range, tip-im.gamma:0,0.5,2 at values.

        Returns:
            A ZIP of all files with provenance, tables and the figure; and a row an entry: means, verdict, each photo.
        """
        asked = entries_of(list(ENTRIES) if entries is None else entries, sweep)
        people = tuple(self._person(path, "photos") for path in photos or ())
        towards = tuple(gallery.person(self.runtime, name) for name in targets or ())
        session, panel = self.desk.of(request), self._panel(ids(surrogates), ids(judges))
        job = Comparison(people, asked, towards, panel, float(far), int(seed), session.identities)
        left = self._left(request)
        cells = [item for item in compare(self.runtime, job, left) if isinstance(item, Cell)]
        if left():
            raise JobError(LEFT)
        board = lines(asked, cells)
        packed = archive(board)
        return session.write("larvatus-compare.zip", packed), {"rows": [line.as_dict() for line in board]}
