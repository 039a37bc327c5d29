"""Whom a method claims to protect against, in its paper's own words, with the section that says so."""

from __future__ import annotations

from dataclasses import dataclass, replace

from engines.methods import METHODS

SEARCH = "A stranger searches by my photo"
TRAIN = "Someone trains on my photos"
FORGE = "Someone forges my face"
TRACE = "I must still be identifiable to an authority"
BACK = "I want it back later"
THREATS = (SEARCH, TRAIN, FORGE, TRACE, BACK)


@dataclass(frozen=True)
class Claim:
    """What a paper says about a threat: whether it claims to help, its words, and where they stand.

    `helps` is None where the paper only tries it, with a network that is not the one here.
    """

    helps: bool | None
    words: str
    where: str


CLAIMS: dict[str, dict[str, Claim]] = {
    "tip-im": {
        SEARCH: Claim(True, "conceal their identities from unauthorized recognition systems", "Sec. 1"),
        TRAIN: Claim(False, "we focus on the unknown face systems without changing training data", "Sec. 2"),
    },
    "dip-watermark": {
        SEARCH: Claim(
            True,
            "prevent unauthorized adversaries from matching and retrieving users' real identity information "
            "through FR systems",
            "Sec. 3.1",
        ),
        TRACE: Claim(
            True,
            "authorized platforms can extract the watermark using the watermark decoder to verify the real identity "
            "information of the facial image",
            "Sec. 1",
        ),
    },
    "erasable-mask": {
        SEARCH: Claim(True, "preventing malicious hackers from conducting face verification", "Sec. VI"),
        TRACE: Claim(
            True, "through the restorer and conduct face verification through the FR model they hold", "Sec. III-B"
        ),
        BACK: Claim(True, "erase semantic perturbations in protected faces", "Sec. VI"),
    },
    "id-guard": {
        FORGE: Claim(True, "perturbations capable of disrupting various facial manipulations", "Sec. I"),
        TRACE: Claim(
            None,
            "We migrate the proposed ID-Guard framework to proactive forensics for facial manipulation "
            "to demonstrate its scalability.",
            "Sec. IV-E",
        ),
    },
    "ipmn": {
        SEARCH: Claim(True, "safeguard face privacy and prevent recognition by face detection systems", "Sec. 4.4.2"),
        BACK: Claim(
            True, "revert the result to its original state, ensuring privacy restoration when required", "Sec. 3.1"
        ),
    },
}
SILENT = "The paper does not say."


def claims(threat: str) -> list[tuple[str, Claim | None]]:
    """Each method that has a paper here and what it says about a threat, those that claim to help first.

    Methods that are not here yet are left out; the baselines claim nothing of their own.
    """
    rows = [(id, _cited(id, CLAIMS[id].get(threat))) for id in METHODS if id in CLAIMS]
    return sorted(rows, key=lambda row: (row[1] is None, not (row[1] and row[1].helps)))


def _cited(id: str, claim: Claim | None) -> Claim | None:
    """A claim whose section is that of a paper by its short name, "Yang et al., TIP-IM, Sec. 1"."""
    authors = METHODS[id].paper.partition(",")[0]
    return replace(claim, where=f"{authors}, {METHODS[id].title}, {claim.where}") if claim else None


def suited(threat: str) -> tuple[str, ...]:
    """Ids of the methods here that claim to help."""
    return tuple(id for id, claim in claims(threat) if claim and claim.helps)
