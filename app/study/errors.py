"""What goes wrong in a study, said to the person in front of it."""

from __future__ import annotations


class StudyError(ValueError):
    """Bad input or a forbidden step: one sentence for the person, what happened and what to do."""
