"""The endpoints that say what there is: methods and their settings, networks, papers' claims, who is registered."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Optional

import gradio as gr

from app.compare.threats import SEARCH, SILENT, claims
from app.demo.api_base import Base, checked
from engines.checkpoints import Checkpoint, here
from engines.methods import METHODS
from engines.methods import method as method_of

UNSAID = ("symbol", "advanced", "kind", "several")  # of a knob: for drawing it


class Catalogue(Base):
    """`methods`, `models`, `claims` and `identities`: answered at once, without a job."""

    @checked
    def methods(
        self,
        method: str = "",
        request: Optional[gr.Request] = None,  # noqa: UP045  Gradio looks for this very annotation
    ) -> dict[str, Any]:
        """List the methods that protect, with their settings and presets.

        Args:
            method: The id of one method; none means all.

        Returns:
            A row a method: id, title, summary, paper, what it needs, what else it can do, presets, and its settings.
        """
        return {"rows": [described(id) for id in ([method] if method else METHODS)]}

    @checked
    def models(
        self,
        kind: str = "",
        request: Optional[gr.Request] = None,  # noqa: UP045  Gradio looks for this very annotation
    ) -> dict[str, Any]:
        """List the networks of the registry: recognisers, forgers and what the methods are made of.

        Args:
            kind: One kind of network, such as recogniser; none means all.

        Returns:
            A row a network: id, role, whether it is on this computer and trained, thresholds, licence, SHA-256.
        """
        cards = [card for card in self.runtime.cards.values() if kind in ("", card.kind)]
        return {"rows": [{**asdict(card), "thresholds": _by_far(card), "here": here(card)} for card in cards]}

    @checked
    def claims(
        self,
        threat: str = SEARCH,
        request: Optional[gr.Request] = None,  # noqa: UP045  Gradio looks for this very annotation
    ) -> dict[str, Any]:
        """Say which methods claim to help against a threat, in their papers' own words.

        Args:
            threat: Whom one wants to be protected against.

        Returns:
            A row a method: whether it claims to help (null where its paper does not say), the words, and the section.
        """
        found = [(id, claim) for id, claim in claims(threat)]
        rows = [
            {"method": id, **(asdict(claim) if claim else {"helps": None, "words": SILENT, "where": ""})}
            for id, claim in found
        ]
        return {"threat": threat, "rows": rows}

    @checked
    def identities(
        self,
        register: str = "",
        forget: str = "",
        request: Optional[gr.Request] = None,  # noqa: UP045  Gradio looks for this very annotation
    ) -> dict[str, Any]:
        """List the identities that this client has registered for marks; register one, or have one forgotten.

        Args:
            register: A name to register first; one that is there already keeps its number.
            forget: A name to forget first.

        Returns:
            A row an identity: number, name, and when it was registered.
        """
        known = self.desk.of(request).identities
        if register.strip():
            known.register(register)
        if forget.strip():
            known.delete(forget)
        return {"rows": [asdict(one) for one in known.all()]}


def _by_far(card: Checkpoint) -> dict[str, float]:
    return {str(far): threshold for far, threshold in card.thresholds.items()}


def described(id: str) -> dict[str, Any]:
    """A method as plain values."""
    method = method_of(id)
    can = [name for name in ("read", "erase") if hasattr(method, name)]
    told = {"id": id, "title": method.title, "summary": method.summary, "paper": method.paper}
    knobs = [{**asdict(knob), "type": knob.kind.__name__} for knob in method.Params.knobs()]
    settings = [{key: value for key, value in knob.items() if key not in UNSAID} for knob in knobs]
    return {**told, "needs": sorted(method.needs), "can": can, "presets": dict(method.presets), "settings": settings}
