"""The edits that forgers make, and what each asks of a face's attributes."""

from __future__ import annotations

from torch import Tensor

HAIR = ("Black_Hair", "Blond_Hair", "Brown_Hair")
LABELS = (*HAIR, "Male", "Young")  # CelebA's names, in the order of the forgers' label vectors
EDITS = {
    "black hair": "Black_Hair",
    "blond hair": "Blond_Hair",
    "brown hair": "Brown_Hair",
    "gender": "Male",
    "age": "Young",
}
STYLES = {"black hair": (2, 0), "blond hair": (2, 1), "brown hair": (2, 2), "glasses": (1, 0), "bangs": (0, 0)}
"""HiSD's edits: the tag and the value of each, in the order of its release."""


def wanted(labels: Tensor, edit: str) -> Tensor:
    """What labels (N, 5) of LABELS, 0 or 1, become: one hair colour and no other; or gender or age reversed."""
    place, out = LABELS.index(EDITS[edit]), labels.clone()
    if EDITS[edit] in HAIR:
        out[:, : len(HAIR)] = 0
        out[:, place] = 1
    else:
        out[:, place] = 1 - out[:, place]
    return out
