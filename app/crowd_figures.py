"""What many visitors saw, as figures, and which of them are not as promised."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from statistics import median
from typing import Any

CANCELLED, LEFT = "seconds from cancel to the next job", "seconds from a program's death to the end of its work"
GROWTH, FREED, STOPPED = 1.1, 1.0, 10.0  # promised: memory after warm-up; seconds after a cancel, and after a death


@dataclass
class Seen:
    """What all visitors saw: jobs as (visitor, kind, asked, done), seconds told by a full queue, failures, pages."""

    jobs: list[tuple[int, str, float, float]] = field(default_factory=list)
    told: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    pages: list[float] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)


def overtaken(jobs: list[tuple[int, str, float, float]], slack: float = 1.0) -> int:
    """How many jobs were done before one that had been asked for more than `slack` seconds earlier."""
    latest = sorted(jobs, key=lambda job: job[3])
    return sum(any(other[2] < job[2] - slack for other in latest[i + 1 :]) for i, job in enumerate(latest))


def warmed(seen: Seen) -> float:
    """When a job of each kind that was done had been done once, and so every network been used."""
    first: dict[str, float] = {}
    for _, kind, _, done in sorted(seen.jobs, key=lambda job: job[3]):
        first.setdefault(kind, done)
    return max(first.values(), default=0.0)


def summary(seen: Seen, visitors: int, minutes: float) -> dict[str, Any]:
    """The figures, seconds and MB."""
    took = sorted(done - asked for _, _, asked, done in seen.jobs)
    each = Counter(number for number, *_ in seen.jobs)
    ready = warmed(seen)
    warm = [mb for at, mb in seen.memory if at <= ready]
    later = [mb for at, mb in seen.memory if at > ready] or warm
    return {
        "visitors": visitors,
        "minutes": minutes,
        "jobs": dict(Counter(kind for _, kind, *_ in seen.jobs)),
        "jobs of a visitor": [min(each[i] for i in range(visitors)), max(each.values(), default=0)],
        "seconds of a job": {"median": round(median(took), 1), "longest": round(took[-1], 1)} if took else {},
        "done out of order": overtaken(seen.jobs),
        "told that the queue is full": len(seen.told),
        "failures": seen.failures,
        "page": {"median": round(median(seen.pages), 3), "longest": round(max(seen.pages), 3)} if seen.pages else {},
        "memory": {"warm": round(max(warm)), "most later": round(max(later)), "end": round(later[-1])}
        if warm
        else {},
    }


def times(seconds: list[float]) -> dict[str, float]:
    return {"median": round(median(seconds), 2), "longest": round(max(seconds), 2), "times": len(seconds)}


def faults(found: dict[str, Any]) -> list[str]:
    """What of `run`'s figures is not as promised; none where all is."""
    memory = found["memory"]
    wrong = [f"{len(found['failures'])} failures"] if found["failures"] else []
    if not memory or memory["most later"] > GROWTH * memory["warm"]:
        wrong.append(f"memory grew to {memory.get('most later')} MB from {memory.get('warm')}")
    for name, most in ((CANCELLED, FREED), (LEFT, STOPPED)):
        if found[name]["longest"] > most:
            wrong.append(f"{name}: {found[name]['longest']}, promised {most:g}")
    if not found["jobs of a visitor"][0]:
        wrong.append("a visitor got nothing done")
    return wrong
