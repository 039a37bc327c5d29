"""Which raters would be excluded, and why. Nothing is removed here: a finding is a line on a list."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from app.study import protocols
from app.study.errors import StudyError
from app.study.scores import rated
from app.study.tables import CHOICES


@dataclass(frozen=True)
class Rules:
    """Where a rater is proposed for exclusion. BT.500's own constants are not among them: they are fixed."""

    catch_share: float = 0.75  # of catch trials to be answered right
    fewest_catches: int = 2
    repeat_share: float = 0.6  # of repeats to be answered alike; half is what guessing reaches for two pictures
    fewest_repeats: int = 4
    repeat_step: int = 1  # points on the five-point scale that still count as alike


@dataclass(frozen=True)
class Finding:
    """One reason to exclude a rater. `value` against `limit`, and the same as a sentence."""

    rater: str
    rule: str  # "BT.500", "catch trials" or "repeats"
    protocol: str
    value: float
    limit: float
    reason: str


@dataclass(frozen=True)
class Check:
    """What each rule saw of one rater, excluded or not; shares are None where there was nothing to judge."""

    rater: str
    votes: int
    catches: int
    catch_share: float | None
    repeats: int
    repeat_share: float | None


@dataclass(frozen=True)
class Screening:
    """All raters, and the findings against some of them; `notes` say which rule could not be applied."""

    checks: tuple[Check, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

    @property
    def raters(self) -> frozenset[str]:
        """Those with a finding: what to hand to `without` to follow every rule."""
        return frozenset(finding.rater for finding in self.findings)


def without(votes: pd.DataFrame, exclusions: Collection[str]) -> pd.DataFrame:
    """The votes of all other raters; `votes` itself stays as it is, so any exclusion can be taken back."""
    unknown = sorted(set(exclusions) - set(votes["rater"]))
    if unknown:
        raise StudyError(f"There is no rater {unknown[0]!r} to exclude: take the id from the list of raters.")
    return votes[~votes["rater"].isin(list(exclusions))].reset_index(drop=True)


def screen(votes: pd.DataFrame, stimuli: pd.DataFrame, rules: Rules = Rules()) -> Screening:  # noqa: B008
    """Look at every rater by BT.500 (scores), catch trials and repeats; checked tables, all raters."""
    findings, notes = [], []
    for protocol in ("acr", "dsis"):
        found, said = bt500(rated(votes, stimuli, protocol), protocol)
        findings += found
        notes += said
    catches, repeats = _catches(votes), _repeats(votes, rules)
    checks = []
    for rater, own in votes.groupby("rater"):
        name = str(rater)
        c, r = catches.get(name, []), repeats.get(name, [])
        share_c, share_r = (float(np.mean(x)) if x else None for x in (c, r))
        checks.append(Check(name, int(own["kind"].isin(["main"]).sum()), len(c), share_c, len(r), share_r))
        if share_c is not None and len(c) >= rules.fewest_catches and share_c < rules.catch_share:
            said_c = f"{sum(c)} of {len(c)} catch trials right; at least {rules.catch_share:.0%} is asked for."
            findings.append(Finding(name, "catch trials", _protocol(own), share_c, rules.catch_share, said_c))
        others = [same for key, list_ in repeats.items() if key != name for same in list_]
        if share_r is not None and _inconsistent(r, others, rules):
            said_r = f"{sum(r)} of {len(r)} repeats answered alike, the others {np.mean(others):.0%}."
            findings.append(Finding(name, "repeats", _protocol(own), share_r, rules.repeat_share, said_r))
    findings.sort(key=lambda finding: (finding.rater, finding.rule, finding.protocol))
    return Screening(tuple(checks), tuple(findings), tuple(notes))


def _inconsistent(own: list[bool], others: list[bool], rules: Rules) -> bool:
    """Below the limit, and below what the other raters reach by more than chance (one-sided binomial, 5 %).

    The second part is there because a hard task makes attentive raters inconsistent too: where nobody can see
    the difference, excluding those who guessed would leave the lucky ones and make d' too high.
    """
    if len(own) < rules.fewest_repeats or np.mean(own) >= rules.repeat_share or not others:
        return False
    return float(stats.binom.cdf(sum(own), len(own), np.mean(others))) < 0.05


def bt500(table: pd.DataFrame, protocol: str) -> tuple[list[Finding], list[str]]:
    """The rejection of observers of ITU-R BT.500-14, Annex 1, section 2.3; `table` as from `rated`.

    For each picture j: mean, standard deviation S (n - 1) and kurtosis b2 = m4 / m2². With 2 <= b2 <= 4 the
    scores count as normal and the bounds are mean ± 2 S, else ± sqrt(20) S. P: a rater's scores at or above
    the upper bound, Q: at or below the lower. Rejected: (P + Q) / (scores given) > 0.05 and
    |P - Q| / (P + Q) < 0.3: far off often, and to both sides. To be applied once, not repeatedly.
    """
    if table.empty:
        return [], []
    grid = table.groupby(["rater", "stimulus"])["score"].mean().unstack("stimulus").sort_index().sort_index(axis=1)
    u = grid.to_numpy(dtype=float)
    seen = ~np.isnan(u)
    n = seen.sum(axis=0)
    mean = np.nansum(u, axis=0) / n
    off = np.where(seen, u - mean, 0.0)
    m2, m4 = (off**2).sum(axis=0) / n, (off**4).sum(axis=0) / n
    spread = np.sqrt((off**2).sum(axis=0) / np.maximum(n - 1, 1))
    varies = m2 > 1e-12  # where all gave the same, every score would lie "at the bound"
    kurtosis = np.where(varies, m4 / np.where(varies, m2, 1.0) ** 2, 0.0)
    bound = np.where((kurtosis >= 2) & (kurtosis <= 4), 2.0, 20**0.5) * spread
    p = (seen & varies & (off >= bound - 1e-12)).sum(axis=1)
    q = (seen & varies & (off <= -bound + 1e-12)).sum(axis=1)
    found = [_outlying(str(grid.index[i]), protocol, int(p[i]), int(q[i]), int(seen[i].sum())) for i in range(len(u))]
    notes = []
    if n.max() < 6:  # (n - 1) / sqrt(n) standard deviations is the farthest that one of n values can lie
        notes.append(f"BT.500 ({protocol}): too few raters a picture ({n.max()}); below 6 it cannot reject anybody.")
    return [finding for finding in found if finding is not None], notes


def _outlying(rater: str, protocol: str, p: int, q: int, given: int) -> Finding | None:
    if p + q == 0 or (p + q) / given <= 0.05 or abs(p - q) / (p + q) >= 0.3:
        return None
    reason = f"{p} scores far above the others and {q} far below, of {given} ({(p + q) / given:.0%}; limit 5 %)."
    return Finding(rater, "BT.500", protocol, (p + q) / given, 0.05, reason)


def _protocol(own: pd.DataFrame) -> str:
    return ", ".join(sorted(set(own["protocol"])))


def _catches(votes: pd.DataFrame) -> dict[str, list[bool]]:
    """Per rater whether each catch trial with a known answer was right (`protocols.Protocol.is_right`)."""
    own = votes[(votes["kind"] == "catch") & (votes["truth"] != "")]
    rows = zip(own["protocol"], own["truth"], own["answer"], strict=True)
    right = [bool(protocols.protocol(name).is_right(truth, answer)) for name, truth, answer in rows]
    return pd.Series(right, index=own.index, dtype="object").groupby(own["rater"]).agg(list).to_dict()


def _repeats(votes: pd.DataFrame, rules: Rules) -> dict[str, list[bool]]:
    """Per rater whether each repeat agrees with the trial it repeats; artefact boxes are not compared."""
    own = votes[(votes["kind"] == "repeat") & (votes["protocol"] != "artefacts")]
    first = {(row.rater, row.trial): row for row in votes.itertuples()}
    found: dict[str, list[bool]] = {}
    for row in own.itertuples():
        before = first.get((row.rater, row.repeat_of))
        if before is not None:
            found.setdefault(str(row.rater), []).append(_alike(row, before, rules))
    return found


def _alike(one: object, other: object, rules: Rules) -> bool:
    """The same picture chosen whichever side it stood on, the same word, or scores close to one another."""
    a, b = _meant(one), _meant(other)
    if isinstance(a, int) and isinstance(b, int):
        return abs(a - b) <= rules.repeat_step
    return a == b


def _meant(row: object) -> object:
    answer = getattr(row, "answer")  # noqa: B009
    if getattr(row, "protocol") in ("pairs", "detection") and answer in CHOICES["detection"]:  # noqa: B009
        return getattr(row, answer)
    return answer
