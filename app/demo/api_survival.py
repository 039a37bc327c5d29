"""The endpoint that sends a photo through what happens to photos, and scores what is left."""

from __future__ import annotations

from typing import Any, Optional

import gradio as gr

from app import photo as photos
from app.channel import changed
from app.demo.api_base import Base, checked
from app.demo.api_values import ids, read
from app.score import score
from app.scoring import JobError, find_person

USUAL = {"jpeg": 75}


class Survival(Base):
    """`survive`."""

    @checked
    def survive(
        self,
        photo: str,
        against: str,
        changes: Any = None,
        judges: list[str] | None = None,
        far: float = 0.01,
        request: Optional[gr.Request] = None,  # noqa: UP045  Gradio looks for this very annotation
    ) -> tuple[str, dict[str, Any]]:
        """Send a photo through blur, resizing, noise and JPEG, in that order, and score what comes out.

        Args:
            photo: The photo, such as a file that a protection made.
            against: A photo of the person to compare with.
            changes: An object with any of `blur` (kernel, px), `scale` (%), `noise` (variance), `jpeg` (quality).
            judges: Ids of the recognisers that score; none means the usual panel.
            far: False-acceptance rate of the thresholds: 0.01 or 0.001.

        Returns:
            The changed photo as PNG, and the scores before and after with the changes made.
        """
        if not against:
            raise JobError("There is no photo of the person: give one as `against`.")
        values = {name: float(value) for name, value in (read(changes) or USUAL).items()}
        before, person = self._person(photo), self._person(against, "against")
        file = photos.encode(changed(before.photo, values).pixels, "PNG")
        after = find_person(self.runtime, "changed", file)
        found = [score(self.runtime, one, person, ids(judges), float(far)).as_dict() for one in (before, after)]
        report = {"changes": values, "before": found[0], "after": found[1]}
        return self.desk.of(request).write("larvatus-changed.png", file), report
