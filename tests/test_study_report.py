"""The HTML report: n, exclusions, hash, figures, and nothing of the study that a browser would run."""

from __future__ import annotations

import io
import re
from base64 import b64decode
from html.parser import HTMLParser

import pytest
from PIL import Image

from app.study.analysis import analyse
from app.study.report import html_report
from app.study.sections import Beside
from app.study.simulate import simulate
from app.study.simulated_rater import Raters
from app.study.simulated_trials import Condition
from app.study.underlay import underlay

EVIL = "</script><img src=x onerror=alert(1)>&\"'"
HASH = "ab" * 32
HEADINGS = {
    "acr": "Scores (ACR)",
    "dsis": "Scores (DSIS)",
    "pairs": "Pairwise comparison",
    "detection": "Which one was altered?",
    "verification": "Same person?",
    "artefacts": "Artefacts",
}


class Tags(HTMLParser):
    """Every start tag and its attributes, and the text outside scripts."""

    def __init__(self, page: str):
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.text = ""
        self.script = False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self.script = tag in ("script", "style")

    def handle_endtag(self, tag):
        self.script = False

    def handle_data(self, data):
        self.text += "" if self.script else data


def result(protocol: str, label: str = "gamma 1"):
    scale = {"acr": 1.2, "dsis": 1.2, "artefacts": 0.3}.get(protocol, 0.8)
    conditions = [
        Condition(f"{label} {k}", scale * (k + 1), label, {"gamma": float(k)}, {"judge_cosine": 0.1 * k})
        for k in range(3)
    ]
    run = simulate(protocol, conditions, 2, Raters(9, inattentive=1), catches=4, repeats=4, seed=2)
    return analyse(run.votes, run.stimuli, resamples=100, exclusions={"simulated-008"})


@pytest.mark.parametrize("protocol", list(HEADINGS))
def test_the_report_states_n_exclusions_hash_and_shows_figures(protocol):
    found = result(protocol)
    page = html_report(found, "Does it look natural?", HASH)
    tags = Tags(page)
    assert "8 analysed, 1 excluded, 9 in all" in tags.text and HASH in tags.text
    assert "simulated-008excluded" in tags.text and "1 of 9 raters are excluded" in tags.text
    assert "Simulated raters" in tags.text and HEADINGS[protocol] in tags.text
    assert sum(attrs.get("class") == "plotly-graph-div" for _, attrs in tags.found) >= 1
    sources = [attrs["src"] for tag, attrs in tags.found if tag == "script" and "src" in attrs]
    assert len(sources) == 1 and sources[0].startswith("https://cdn.plot.ly/plotly-")
    assert html_report(result(protocol), "Does it look natural?", HASH) == page
    assert "NaN" not in tags.text and "None" not in tags.text


@pytest.mark.parametrize("protocol", ["acr", "pairs", "artefacts"])
def test_nothing_of_the_study_becomes_markup(protocol):
    page = html_report(result(protocol, EVIL), EVIL, EVIL)
    tags = Tags(page)
    assert not [tag for tag, _ in tags.found if tag == "img"]
    assert not [name for _, attrs in tags.found for name in attrs if name.startswith("on")]
    assert EVIL in tags.text
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", page, re.S)
    assert len(scripts) == page.count("</script>") and not any("<img" in text for text in scripts)
    if protocol != "artefacts":  # Plotly draws some tags of axis labels itself: there they must arrive escaped
        assert any("\\u0026lt;img" in text or "&lt;img" in text for text in scripts)


def test_an_offline_report_fetches_nothing():
    page = html_report(result("acr"), "t", "", offline=True)
    assert "cdn.plot.ly/plotly" not in "".join(re.findall(r"<script[^>]*src=[^>]*>", page))
    assert len(page) > 1_000_000 and "the study was never opened" in page


def test_a_study_of_people_carries_no_banner_and_says_that_nobody_was_excluded():
    run = simulate("acr", [Condition("x", 3.0)], 2, Raters(8, spread=0.1), seed=1)
    people = run.votes.assign(rater=run.votes["rater"].str.replace("simulated-", "R"))
    page = html_report(analyse(people, run.stimuli, resamples=100), "t", HASH)
    assert "Simulated raters" not in page and "No rater was excluded" in page


def test_too_few_raters_are_said_in_the_table():
    run = simulate("acr", [Condition("x", 3.0)], 1, Raters(2))
    assert "too few raters for an interval: 2" in html_report(analyse(run.votes, run.stimuli), "t", HASH)


def test_withdrawals_are_stated_where_they_are_known():
    assert "Withdrawn" not in html_report(result("acr"), "t", HASH)
    page = html_report(result("acr"), "t", HASH, beside=Beside(withdrawn=(2, 31)))
    assert "raters 2, with answers 31: deleted" in page


def test_an_underlay_is_small_and_keeps_its_shape():
    file = io.BytesIO()
    Image.new("RGBA", (768, 384), (200, 10, 10, 255)).save(file, "PNG")
    uri = underlay(file.getvalue())
    with Image.open(io.BytesIO(b64decode(uri.removeprefix("data:image/jpeg;base64,")))) as small:
        assert small.size == (384, 192) and small.format == "JPEG"
        assert abs(small.getpixel((100, 100))[0] - 200) < 5
