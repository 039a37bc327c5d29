"""What every column of an export means, in words."""

from __future__ import annotations

RATINGS = {
    "rater": "pseudonym of the person; simulated raters start with simulated-",
    "trial": "id of the trial",
    "kind": "training (not analysed), main (analysed), catch (known answer), repeat (asked before)",
    "index": "place in the rater's session, from 0",
    "protocol": "pairs, acr, dsis, detection, verification or artefacts",
    "first": "stimulus shown first or left; the reference in dsis",
    "second": "stimulus shown second or right; empty where there was one picture",
    "photo": "id of the source photo",
    "answer": "JSON. pairs: first, second, tie. acr, dsis: 1 to 5, 5 is best. detection: the one said to be altered. "
    "verification: same, different. artefacts: boxes x0, y0, x1, y1 in fractions of the picture from its top left "
    "corner, and a label",
    "truth": "right answer where there is one; 1-2: both grades; some: at least one box",
    "repeat_of": "trial that this one repeats, or empty",
    "seconds": "response time from the moment that the pictures were visible, s",
    "answered_at": "UTC, ISO 8601",
    "screen_width": "CSS pixels",
    "screen_height": "CSS pixels",
}
STIMULI = {
    "stimulus": "id, as in first and second of the ratings",
    "photo": "id of the source photo",
    "condition": "label of method and parameters; reference for the unaltered photo",
    "method": "id of the method",
    "parameters": "JSON object: the method's parameters; one row each in parameters",
    "role": "test, reference (hidden reference), anchor (deliberately bad), catch",
    "sha256": "SHA-256 of the picture's file",
    "measures": "JSON object: what the engines measured on the file; one row each in measures",
    "person": "who is on the photo, as it was named; may be empty",
    "provenance": "JSON object: how the file was made, as far as that is known",
}

LONG = {
    "stimulus": "id, as in the stimuli",
    "name": "name of the parameter or measure",
    "value": "JSON: its value",
}
RATERS = {
    "rater": "as in the ratings; also those who gave no answer",
    "consent_version": "version of the consent text that the rater agreed to",
    "demographics": "JSON object: what the rater chose to tell; a question left out is not there",
}
TABLES = {"ratings": RATINGS, "stimuli": STIMULI, "parameters": LONG, "measures": LONG, "raters": RATERS}


def codebook(simulated: bool, protocol_hash: str) -> str:
    """Markdown: the files of an export and their columns."""
    lines = ["# Codebook", ""]
    if simulated:
        lines += ["**These raters were simulated. This is no evidence about people.**", ""]
    lines += [
        f"Protocol hash (SHA-256 of protocol.json): {protocol_hash or 'none, the study was not opened'}",
        "",
        "Every table comes as CSV, Parquet and JSON with the same content. In CSV and Parquet, "
        "columns marked JSON hold JSON text. CSV is UTF-8; a cell that a spreadsheet could run as a formula, or that "
        "starts with an apostrophe, has one apostrophe put before it, to be taken away when read by a program.",
        "analysis.json says how the study was analysed: raters left out (exclusions), seed, resamples and level of "
        "the intervals, and for measures the value to reach (limits) and whether lower is better (directions).",
        "manifest.json holds the SHA-256 of every file, and as withdrawn how many raters and answers were deleted.",
    ]
    for title, columns in TABLES.items():
        lines += ["", f"## {title}", "", "| column | meaning |", "| --- | --- |"]
        lines += [f"| {name} | {meaning} |" for name, meaning in columns.items()]
    return "\n".join([*lines, ""])
