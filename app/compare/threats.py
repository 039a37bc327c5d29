"""Whom a method claims to protect against, in its paper's own words, with the section that says so."""

from __future__ import annotations

from dataclasses import dataclass

from engines.methods import METHODS

SEARCH = "A stranger searches by my photo"
TRAIN = "Someone trains on my photos"
FORGE = "Someone forges my face"
TRACE = "I must still be identifiable to an authority"
BACK = "I want it back later"
THREATS = (SEARCH, TRAIN, FORGE, TRACE, BACK)


@dataclass(frozen=True)
class Claim:
    """What a paper says about a threat: whether it claims to help, its words, and where they stand."""

    helps: bool
    words: str
    where: str


TIP_IM = "Yang et al., Towards Face Encryption by Generating Adversarial Identity Masks"
CLAIMS: dict[str, dict[str, Claim]] = {
    "tip-im": {
        SEARCH: Claim(True, "identify a real face image in an unknown gallery identity set", "Sec. 1"),
        TRAIN: Claim(False, "we focus on the unknown face systems without changing training data", "Sec. 2"),
    },
    "dip-watermark": {
        SEARCH: Claim(
            True, "matching and retrieving users' real identity information through FR systems", "Sec. 3.1"
        ),
        TRACE: Claim(
            True, "allows authorizers to perform identity verification by extracting the watermark", "Abstract"
        ),
    },
    "erasable-mask": {
        SEARCH: Claim(True, "preventing malicious hackers from conducting face verification", "Sec. VI"),
        TRACE: Claim(True, "authorized operations such as forensics and authentication", "Abstract"),
        BACK: Claim(True, "supports the erasion of semantic perturbations in protected face", "Abstract"),
    },
    "id-guard": {
        FORGE: Claim(True, "defending against various facial manipulation models", "Abstract"),
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
    rows = [(id, CLAIMS[id].get(threat)) for id in METHODS if id in CLAIMS]
    return sorted(rows, key=lambda row: (row[1] is None, not (row[1] and row[1].helps)))


def suited(threat: str) -> tuple[str, ...]:
    """Ids of the methods here that claim to help."""
    return tuple(id for id, claim in claims(threat) if claim and claim.helps)
