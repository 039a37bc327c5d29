"""Figures out of rows: what each is called, which rows speak of it, and its mean with an interval.

The independent unit is the person where the data say who it is, else the photo. A share with one row a unit has
Wilson's interval (Wilson, 1927); any other mean the percentile bootstrap over units (study/intervals.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from app.bench.run.plan import FILE, FORGER, RECOGNISER
from app.study.intervals import LEVEL, Estimate, bootstrap, rater_weights

RESAMPLES = 1000
SEED = 0
CELL = ["method", "setting", "params", "attacked", "distortion", "kind", "by", "role", "edit"]


@dataclass(frozen=True)
class Measure:
    """`values` of rows of `kind`: 0 or 1 where it is a `share`, NaN where a row does not say."""

    id: str
    symbol: str
    title: str
    kind: str
    values: Callable[[pd.DataFrame], pd.Series]
    share: bool = True
    unit: str = ""
    higher: bool | None = True  # whether more is better for who is protected


def _truth(column: str, is_true: bool, rows: pd.DataFrame) -> pd.Series:
    values = rows[column].astype("boolean")
    return (values if is_true else ~values).astype("float64")


def _number(column: str, rows: pd.DataFrame) -> pd.Series:
    return rows[column].astype("float64")


def _rank(column: str, n: int, inside: bool, rows: pd.DataFrame) -> pd.Series:
    """Whether the rank, 0 for none, is among the first n, or is not."""
    rank = rows[column].astype("float64")
    among = (rank >= 1) & (rank <= n)
    return (among if inside else ~among).astype("float64").where(rank.notna())


def _share(
    id: str, symbol: str, title: str, kind: str, column: str, is_true: bool = True, higher: bool | None = True
) -> Measure:
    return Measure(id, symbol, title, kind, partial(_truth, column, is_true), higher=higher)


def _mean(id: str, symbol: str, title: str, kind: str, unit: str = "", higher: bool | None = True) -> Measure:
    return Measure(id, symbol, title, kind, partial(_number, id), False, unit, higher)


def _ranked(symbol: str, title: str, column: str, inside: bool) -> Iterator[Measure]:
    for n in (1, 5):
        name = f"R{n}-{symbol}"
        yield Measure(name.lower(), name, title.format(n=n), RECOGNISER, partial(_rank, column, n, inside))


MEASURES: tuple[Measure, ...] = (
    _share("dodged", "SR_P", "Not taken for the person any more", RECOGNISER, "matches_self", False),
    _share("led", "ASR", "Taken for a target", RECOGNISER, "matches_target"),
    *_ranked("T", "A target among the first {n} of the gallery", "rank_target", True),
    *_ranked("UT", "The person not among the first {n} of the gallery", "rank_self", False),
    _mean("to_self", "cos", "Cosine to the person", RECOGNISER, higher=False),
    _mean("to_target", "cos t", "Cosine to the nearest target", RECOGNISER),
    _share("erased", "ESR", "Not taken for the target once erased", RECOGNISER, "erased_matches_target", False),
    _share("known_again", "known", "Taken for the person once erased", RECOGNISER, "erased_matches_self"),
    _share("found", "face", "A face is found in the file", FILE, "found", higher=None),
    _mean("psnr", "PSNR", "Likeness of the face to the original", FILE, "dB"),
    _mean("ssim", "SSIM", "Structural similarity of the face", FILE),
    _mean("mmd", "MMD", "Mean discrepancy under shifts and flips", FILE, higher=False),
    _mean("l1", "L1", "Mean absolute change of the face", FILE, higher=False),
    _mean("mse", "MSE", "Mean squared change of the face", FILE, higher=False),
    _mean("lpips", "LPIPS", "Perceptual change of the face", FILE, higher=False),
    _mean("bits", "ACC", "Bits of the mark read as written", FILE),
    _share("identity_read", "identity", "The identity in the mark is read", FILE, "identity_read"),
    _mean("restored_psnr", "PSNR x'_p", "Likeness of what the owner gets back", FILE, "dB"),
    _mean("restored_ssim", "SSIM x'_p", "Structural similarity of what the owner gets back", FILE),
    _mean("nc_masked", "NC x_wmf", "Model's watermark in the file", FILE),
    _share("extracted_masked", "SR_E x_wmf", "Model's watermark extracted from the file", FILE, "extracted_masked"),
    _mean("nc_recovered", "NC x'_wm", "Model's watermark in the recovered mask", FILE),
    _share("extracted_recovered", "SR_E x'_wm", "The same, of the recovered mask", FILE, "extracted_recovered"),
    _mean("l2_face", "L2-face", "Difference of the forgeries on the face", FORGER),
    _mean("id_similarity", "ID sim", "Cosine of the forgeries' identities", FORGER, higher=False),
    _share("defended", "DSR", "The forger fails", FORGER, "defended"),
)
BY_ID = {measure.id: measure for measure in MEASURES}


@dataclass(frozen=True)
class Cell:
    """One measure of one setting, distortion and look; `group`: of these photos only; `failed` rows are not in it."""

    measure: Measure
    method: str
    setting: str
    distortion: str
    by: str
    role: str | None
    edit: str | None
    estimate: Estimate
    failed: int
    group: str = ""


def unit_of(rows: pd.DataFrame) -> pd.Series:
    """Who or what each row is of: the person, else the photo."""
    return rows["person"].where(rows["person"].notna(), rows["photo_sha256"])


def cells(rows: pd.DataFrame, group: str = "") -> list[Cell]:
    """Every figure that the rows hold, in the order in which the rows name their settings."""
    found = []
    for key, part in rows.groupby(CELL, sort=False, dropna=False):
        named: dict[str, Any] = dict(zip(CELL, (None if pd.isna(value) else value for value in key), strict=True))
        failed = int(part["reason"].notna().sum())
        for measure in MEASURES:
            if measure.kind == named["kind"] and (e := of(measure, part)).value is not None:
                place = {name: named[name] for name in ("method", "setting", "distortion", "by", "role", "edit")}
                found.append(Cell(measure, **place, estimate=e, failed=failed, group=group))
    return found


def of(measure: Measure, rows: pd.DataFrame) -> Estimate:
    """A measure's mean over rows of its kind that did not fail, with its interval. `n` counts units."""
    good = rows[(rows["kind"] == measure.kind) & rows["reason"].isna()]
    values = measure.values(good)
    held = values.notna()
    return estimate(values[held].to_numpy(), unit_of(good)[held].to_numpy(), measure.share)


def estimate(values: np.ndarray, units: Sequence[object] | np.ndarray, share: bool) -> Estimate:
    """The mean of `values` (N,) with an interval that takes the rows of one unit as one draw.

    `share`: the values are 0 or 1. A share that is the same for everybody gets Wilson's interval over units.
    """
    if not len(values):
        return Estimate(None, None, None, 0, "no rows")
    numbers, names = pd.factorize(np.asarray(units, dtype=object))
    mean, n = float(values.mean()), len(names)
    same = bool(np.ptp(values) <= 1e-12 * max(1.0, abs(mean)))
    if share and (n == len(values) or same):
        return wilson(round(mean * n), n)
    if same:
        return Estimate(mean, None, None, n, "no interval: all the same")
    weights = _weights(n)
    sums, counts = np.bincount(numbers, values, n), np.bincount(numbers, minlength=n)
    found = bootstrap(mean, (weights @ sums) / (weights @ counts), n)
    return found if found.low is not None else replace(found, note=f"too few for an interval: {n}")


def wilson(count: int, total: int) -> Estimate:
    """`count` of `total` as a share with Wilson's score interval."""
    held = stats.binomtest(count, total).proportion_ci(LEVEL, "wilson")
    return Estimate(count / total, float(held.low), float(held.high), total)


@lru_cache(maxsize=4)
def _weights(units: int) -> np.ndarray:
    """How often each unit is drawn in each resample; the same for every figure of as many units."""
    return rater_weights(units, RESAMPLES, SEED, 0)
