"""The Authority tab at work: reading a photo, checking a claim, the registry, and the distortion sliders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from typing import Any

import gradio as gr

from app import photo as photos
from app import plots
from app.channel import CHANGES, Left, Witness
from app.demo import marks, scoreboard
from app.demo.authority import AuthorityView
from app.demo.faces import Sitter, outlined
from app.demo.session import Desk, Session, taken
from app.errors import sentence
from app.identities import Identity, IdentityError
from app.panel import as_seen_by, members
from app.photo import Photo
from app.pictures import head_window, window_of
from app.reveal import Claim, Found, check_claim, readable, reveal
from app.runtime import Runtime
from app.scoring import JobError, Person
from engines.methods import METHODS

Updates = dict[Any, Any]
READER = next(id for id, method in METHODS.items() if hasattr(method, "read"))
OTHER_KEY = "a key that nobody used"
NO_PHOTO = "There is no photo to read yet: drop one, or send one over from Protect."


@dataclass
class Inspection:
    """What the tab looks at: the photo, what was read in it, and the curves measured so far."""

    photo: Photo
    found: tuple[Found, ...]
    witness: Witness
    curves: dict[str, list[Left]] = field(default_factory=dict)
    now: Left | None = None


class AuthorityEvents:
    """The handlers of the tab."""

    def __init__(self, runtime: Runtime, view: AuthorityView, desk: Desk):
        self.runtime, self.view, self.desk = runtime, view, desk

    def take(self, path: str | None, key: str, claim: str, request: gr.Request) -> Updates:
        """An upload."""
        if path is None:
            return {self.view.status: gr.skip()}
        data = taken(path)
        return {self.view.drop: None, **self._open(self.desk.of(request), data, key, claim)}

    def receive(self, key: str, claim: str, request: gr.Request) -> Updates:
        """The last result of the Protect tab, with the key that it was made with."""
        session = self.desk.of(request)
        return {self.view.key: key, **self._open(session, session.made and session.made.file, key, claim)}

    def read_again(self, key: str, claim: str, request: gr.Request) -> Updates:
        """The same photo under another key or claim."""
        session = self.desk.of(request)
        if session.inspected is None:
            return {self.view.status: scoreboard.alert(NO_PHOTO)}
        return self._read(session, session.inspected.photo, key, claim)

    def control(self, request: gr.Request) -> Updates:
        """The control: the same photo under a key that nobody used. No mark may be found."""
        session = self.desk.of(request)
        if session.inspected is None:
            return {self.view.status: scoreboard.alert(NO_PHOTO)}
        try:
            found = reveal(self.runtime, session.inspected.photo, session.identities, OTHER_KEY, READER)
        except Exception as error:
            return {self.view.status: scoreboard.alert(sentence(error))}
        said = "; ".join(one.verdict for one in found)
        return {self.view.status: scoreboard.said(f"Control, read with a key that nobody used: {said}")}

    def _open(self, session: Session, data: bytes | None, key: str, claim: str) -> Updates:
        try:
            if data is None:
                raise JobError(NO_PHOTO)
            photo = photos.load(data)
        except Exception as error:
            return {self.view.status: scoreboard.alert(sentence(error))}
        return self._read(session, photo, key, claim)

    def _read(self, session: Session, photo: Photo, key: str, claim: str) -> Updates:
        """Read every face; a mistake leaves what was there."""
        view = self.view
        try:
            found = reveal(self.runtime, photo, session.identities, key, READER)
            verdict = check_claim(found, claim, session.identities, key) if claim.strip() else None
            person = Person("photo", photo, found[0].face)
            panel = members(self.runtime, as_seen_by(READER, None, self.runtime.cards))[0]
            witness = Witness(self.runtime, readable(READER), person, panel, session.identities, key)
        except Exception as error:
            return {view.status: scoreboard.alert(sentence(error))}
        session.inspected = Inspection(photo, found, witness)
        return {
            view.status: "",
            view.verdict: _verdict(found, verdict),
            view.photo: scoreboard.picture(outlined(_sitter(photo, found)), 420, "The photo with its faces outlined"),
            view.marks: "".join(_one(i, one, len(found)) for i, one in enumerate(found)),
            view.again: gr.update(interactive=True),
            view.control: gr.update(interactive=True),
            view.channel_fold: gr.update(visible=True),
            view.left: "",
            view.curve: None,
            **{view.sliders[change.id]: change.none for change in CHANGES},
        }

    def sweep(self, chosen: str, request: gr.Request) -> Iterator[Updates]:
        """The curve of one change, point by point; one that was measured is kept."""
        inspected = self.desk.of(request).inspected
        if inspected is None:
            yield {self.view.curve: gr.skip()}
            return
        change = next(one for one in CHANGES if one.id == chosen)
        if chosen not in inspected.curves:
            points: list[Left] = []
            for left in inspected.witness.sweep(change):
                points.append(left)
                yield {self.view.curve: plots.channel_curves(points, inspected.witness.rows, change, None)}
            inspected.curves[chosen] = points
        yield {self.view.curve: self._figure(inspected, chosen)}

    def slide(
        self, chosen: str, jpeg: float, noise: float, scale: float, blur: float, request: gr.Request
    ) -> Updates:
        """A slider was moved: read and compare the changed photo."""
        inspected = self.desk.of(request).inspected
        if inspected is None:
            return {self.view.left: gr.skip()}
        asked = {"jpeg": jpeg, "noise": noise, "scale": scale, "blur": blur}
        left, photo = inspected.witness.look(asked, asked[chosen])
        inspected.now = left
        tile = window_of(photo.pixels, head_window(inspected.witness.person))
        return {self.view.left: _left(left, inspected, tile), self.view.curve: self._figure(inspected, chosen)}

    def _figure(self, inspected: Inspection, chosen: str) -> Any:
        change = next(one for one in CHANGES if one.id == chosen)
        return plots.channel_curves(inspected.curves.get(chosen, []), inspected.witness.rows, change, inspected.now)

    def register(self, name: str, verify_only: bool, request: gr.Request) -> Updates:
        """Register a name."""
        registry = self.desk.of(request).identities
        return self._registry(
            request, lambda: f"Registered as number {registry.register(name, not verify_only).number}."
        )

    def look_up(self, name: str, request: gr.Request) -> Updates:
        """Look a name up."""
        registry = self.desk.of(request).identities
        return self._registry(request, lambda: f"Registered as number {registry.look_up(name).number}.")

    def delete(self, name: str, request: gr.Request) -> Updates:
        """Forget a name."""
        registry = self.desk.of(request).identities

        def forget() -> str:
            registry.delete(name)
            return "Deleted: marks with its number can no longer be told whose they are."

        return self._registry(request, forget)

    def open(self, request: gr.Request) -> Updates:
        """The tab was opened: show the registry as it is."""
        return self._registry(request, lambda: "")

    def _registry(self, request: gr.Request, action: Any) -> Updates:
        view, registry = self.view, self.desk.of(request).identities
        try:
            said = action()
            people = registry.all()
        except IdentityError as error:
            return {view.registry_line: scoreboard.alert(str(error))}
        return {view.registry_line: scoreboard.said(said) if said else "", view.registry: _table(people)}


def _table(people: list[Identity]) -> str:
    """The registry."""
    if not people:
        return '<p class="lv-caption">Nobody is registered yet. Protecting a photo with a name registers it.</p>'
    cells = ((str(one.number), one.name or "verify only: kept as a hash") for one in people)
    rows = "".join(f'<tr><td class="lv-num">{number}</td><td>{escape(name)}</td></tr>' for number, name in cells)
    head = "<thead><tr><th>Number</th><th>Name</th></tr></thead>"
    return f'<table class="lv-table">{head}<tbody>{rows}</tbody></table>'


def _sitter(photo: Photo, found: tuple[Found, ...]) -> Sitter:
    return Sitter("photo", photo, tuple(one.face for one in found), 0)


def _verdict(found: tuple[Found, ...], claim: Claim | None) -> str:
    marked = sum(one.number is not None for one in found)
    faces = "1 face" if len(found) == 1 else f"{len(found)} faces"
    first = found[0].verdict if len(found) == 1 else f"{faces} found, {marked} with a watermark that this key reads."
    said = f'<p class="lv-verdict">{escape(first)}</p>'
    return said + (
        f'<p class="lv-said">{"●" if claim.accepted else "○"} {escape(claim.sentence)}</p>' if claim else ""
    )


def _one(i: int, found: Found, faces: int) -> str:
    if faces == 1:
        return marks.bits(found)
    return f'<p class="lv-head">Face {i + 1}</p>{marks.reading(found)}'


def _left(left: Left, inspected: Inspection, tile: Any) -> str:
    """What is left where the sliders stand."""
    if left.agreeing is None or left.found is None:
        return '<p class="lv-said">No face is found any more after this change.</p>'
    image = scoreboard.picture(tile, 150, "The face after the change")
    lines = "".join(
        f'<div class="lv-line">{scoreboard.mark(_matches(left.cosines[row.recogniser], row.threshold), "")}'
        f'<span>{escape(row.title)}</span><span class="lv-num">{left.cosines[row.recogniser] or 0:.2f}</span></div>'
        for row in inspected.witness.rows
    )
    words = f'<p class="lv-said">{left.agreeing} of {left.total} bits as before. {escape(left.found.verdict)}</p>'
    note = '<p class="lv-caption">Likeness to the photo as it was dropped (cosine).</p>'
    return f'<div class="lv-after">{image}<div>{words}{note}{lines}</div></div>'


def _matches(value: float | None, threshold: float | None) -> bool | None:
    return None if value is None or threshold is None else value >= threshold
