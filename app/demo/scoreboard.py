"""What a result says, as HTML: verdict, scoreboard, survival tiles, Grad-CAM pairs. Everything is escaped."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from html import escape

import numpy as np
from PIL import Image

from app.plots import COLOURS, HIGH, LOW
from app.report import Cam, Progress, Result, Score, Survival

ROLES = {
    "judge": ("held-out judge", "held-out judge: the method never saw it"),
    "surrogate": ("attacked (surrogate)", "attacked (surrogate): the method worked against it"),
}
CURVES = (
    "Solid: likeness to you. Dotted: to the target. Dashed: threshold. "
    "An estimate while running; the scoreboard is measured on the exported file."
)


def picture(pixels: np.ndarray, side: int, alt: str) -> str:
    """An <img> of uint8 pixels (h, w, 3), at most `side` pixels, inside the page itself."""
    image = Image.fromarray(pixels)
    image.thumbnail((side, side))
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=88)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{escape(alt)}" src="data:image/webp;base64,{data}">'


def mark(matches: bool | None, words: str) -> str:
    """A verdict as shape, colour and words: a filled disc still matches, an empty one does not."""
    if matches is None:
        return f'<span class="lv-no">□ {escape(words)}</span>'
    return f'<span class="lv-{"yes" if matches else "no"}">{"●" if matches else "○"} {escape(words)}</span>'


def verdict(result: Result) -> str:
    """The sentence, and what it was measured on."""
    what = f"Measured on the exported file, compared with {result.compared_with}. Took {result.seconds:.1f} s."
    return f'<p class="lv-verdict">{escape(result.verdict)}</p><p class="lv-caption">{escape(what)}</p>'


def notes(result: Result) -> str:
    """The notes, one a line."""
    return "".join(f'<p class="lv-caption">{escape(note)}</p>' for note in result.notes)


def board(result: Result) -> str:
    """One row a recogniser, before and after against its threshold; below it PSNR and SSIM."""
    before = {score.recogniser: score for score in result.scores_before}
    rows = "".join(_row(i, score, before.get(score.recogniser)) for i, score in enumerate(result.scores))
    far = percent(result.scores[0].far) if result.scores else ""
    head = (
        "Recogniser",
        "Verdict",
        f"Likeness to you (cosine, threshold at {far} false matches)",
        "To the target",
    )
    cells = "".join(f"<th>{escape(text)}</th>" for text in head)
    figures = (
        f'<p class="lv-figures lv-caption"><span>Change to the face: PSNR {result.psnr:.1f} dB</span>'
        f"<span>SSIM {result.ssim:.2f} (1 is identical)</span></p>"
    )
    table = f'<table class="lv-table lv-board"><thead><tr>{cells}</tr></thead><tbody>{rows}</tbody></table>'
    return table + figures + notes(result)


def _row(i: int, score: Score, before: Score | None) -> str:
    role, why = ROLES.get(score.role, (score.role, ""))
    colour = COLOURS[i % len(COLOURS)]
    verdict_now = mark(None if score.to_self is None else score.matches_self, score.word)
    was = f"<small>before: {escape(before.word)}</small>" if before else ""
    return (
        f'<tr><td><b>{escape(score.title)}</b><small title="{escape(why)}">{escape(role)}</small></td>'
        f"<td>{verdict_now}{was}</td>"
        f'<td data-head="Likeness to you">{_own(score, before, colour)}</td>'
        f'<td data-head="To the target">{_target(score)}</td></tr>'
    )


def _own(score: Score, before: Score | None, colour: str) -> str:
    if score.to_self is None:
        return "no face found in the file"
    first = f"{before.to_self:.2f} → " if before and before.to_self is not None else ""
    limit = "no threshold yet" if score.threshold is None else f"{score.threshold:.2f}"
    text = f'<span class="lv-num">{first}<b>{score.to_self:.2f}</b> / {limit}</span>'
    bar = scale(score.to_self, score.threshold, colour)
    far = ""
    if score.distance is not None and score.distance_threshold is not None:
        same = "a match" if score.distance < score.distance_threshold else "no match"
        far = (
            f'<small>Euclidean distance <span class="lv-num">{score.distance:.2f}</span>; '
            f"under {score.distance_threshold:g} counts as a match: {same}</small>"
        )
    return text + bar + far


def _target(score: Score) -> str:
    if score.to_target is None:
        return "no target"
    words = {True: "matches ", False: "does not match ", None: ""}
    name = escape(score.target or "")
    return f'<span class="lv-num">{score.to_target:.2f}</span><small>{words[score.matches_target]}{name}</small>'


def scale(value: float, threshold: float | None, colour: str) -> str:
    """A small bar from -0.4 to 1 with the threshold, where there is one, as a line."""
    label = f"cosine {value:.2f}" + ("" if threshold is None else f", threshold {threshold:.2f}")
    line = "" if threshold is None else f'<i style="left:{_place(threshold):.1f}%"></i>'
    return (
        f'<div class="lv-scale" role="img" aria-label="{label}" title="{label}">'
        f'<b style="width:{_place(value):.1f}%;background:{colour}"></b>{line}</div>'
    )


def _place(cosine: float) -> float:
    """Where a cosine is on the scale, 0 to 100."""
    return max(0.0, min(1.0, (cosine - LOW) / (HIGH - LOW))) * 100


def percent(far: float) -> str:
    """0.01 -> 1 %."""
    return f"{far * 100:g} %"


def tiles(strip: Sequence[Survival]) -> str:
    """The survival strip: a tile a distortion, below it one line a recogniser; the marks are explained once."""
    found = []
    for part in strip:
        lines = "".join(_line(score) for score in part.scores) + _read(part)
        found.append(
            f"<figure>{picture(part.tile, 200, part.label)}<figcaption><b>{escape(part.label)}</b>{lines}"
            "</figcaption></figure>"
        )
    key = f"{mark(True, 'matches you')} {mark(False, 'does not match you')} " + "□ no face found, or no threshold"
    note = "The exported file, changed as websites do, and scored again: likeness to you (cosine)."
    return f'<div class="lv-tiles">{"".join(found)}</div><p class="lv-caption lv-key">{note} {key}</p>'


def _read(part: Survival) -> str:
    """What can still be read of the mark, for a method that leaves one."""
    if part.mark is None:
        return ""
    words = "not readable" if part.mark.agreeing is None else f"{part.mark.agreeing} of {len(part.mark.bits)} bits"
    return f'<div class="lv-line"><span>▤</span><span>Mark</span><span class="lv-num">{words}</span></div>'


def _line(score: Score) -> str:
    """One recogniser in a tile: mark, name, likeness; the words are in its tooltip and read aloud."""
    words, value = f"{score.title}: {score.word}", "no face" if score.to_self is None else f"{score.to_self:.2f}"
    shape = mark(None if score.to_self is None else score.matches_self, "")
    return (
        f'<div class="lv-line" title="{escape(words)}" aria-label="{escape(words)}, {value}">{shape}'
        f'<span>{escape(score.title)}</span><span class="lv-num">{value}</span></div>'
    )


def cams(pairs: Sequence[Cam]) -> str:
    """Grad-CAM before | after for each recogniser, on one scale a pair; what it shows is said once."""
    if not pairs:
        return '<p class="lv-caption">Nothing to show: there is no other photo or target to compare with.</p>'
    found = []
    for cam in pairs:
        two = "".join(
            f"<div>{picture(pixels, 260, f'{cam.title} {when}')}{when}</div>"
            for pixels, when in zip(cam.overlaid(), ("before", "after"), strict=True)
        )
        found.append(
            f'<figure><figcaption><b>{escape(cam.title)}</b></figcaption><div class="lv-two">{two}</div></figure>'
        )
    what = f"Where each recogniser sees what would raise the likeness to {pairs[0].reference} (Grad-CAM)."
    ramp = '<p class="lv-ramp lv-quiet">none <i></i> most; one scale for each before and after</p>'
    return f'<div class="lv-pairs">{"".join(found)}</div><p class="lv-caption">{escape(what)}</p>{ramp}'


def provenance(result: Result) -> str:
    """A line for people, and all of it to expand."""
    made = result.settings.get("provenance", {})
    used = ", ".join(f"{c.get('id')} ({str(c.get('sha256'))[:8]})" for c in made.get("checkpoints", ())) or "none"
    nets = ", ".join(f"{c.get('id')} ({str(c.get('sha256'))[:8]})" for c in made.get("networks", ()))
    work = f"by {nets}" if nets else f"seed {made.get('seed')}, {made.get('steps')} steps"
    line = f"{made.get('method')}, {work}. Attacked{' in training' if nets else ''}: {used}."
    return (
        f'<details><summary class="lv-quiet">How it was made: {escape(line)}</summary>'
        f'<pre class="lv-prov">{escape(json.dumps(result.settings, indent=1))}</pre></details>'
    )


def progress(item: Progress) -> str:
    """The bar with the step and the time left."""
    left = f", {max(1, round(item.left))} s left" if item.left is not None and item.step < item.steps else ""
    share = 100 * item.step / max(1, item.steps)
    text = f"{item.stage}. Step {item.step} of {item.steps}{left}."
    return (
        f'<div role="status">{escape(text)}</div>'
        f'<div class="lv-bar" role="progressbar" aria-valuenow="{item.step}" '
        f'aria-valuemax="{item.steps}"><i style="width:{share:.0f}%"></i></div>'
    )


def alert(sentence: str) -> str:
    """An error, where the person is looking."""
    return f'<div role="alert">{escape(sentence)}</div>'


def said(sentence: str) -> str:
    """A quiet line."""
    return f'<div role="status" class="lv-quiet">{escape(sentence)}</div>'
