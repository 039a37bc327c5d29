"""The About & privacy tab: what the scores mean, what they do not, and what is kept."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime

import gradio as gr

from app.demo.session import GRACE, SWEEP, Desk, kept_for

TEXT = """
## What this does
Larvatus changes a face in a photo by a little, so that face-recognition networks take it for somebody
else while people still see the same person. It then tests the very file you download, with networks
that the method worked against and with held-out judges, which it never saw.

## Who takes part
The **panel**, at the top of every page, says which recognisers a run attacks and which are held out. A
result that only fools the attacked ones has not been shown to carry any further: the held-out judges say
whether it does. The Models tab lists every network, where it comes from and what was measured.

## What the scores mean
- **Likeness (cosine)** compares two faces as a network sees them: 1 is identical, values near 0 are
  strangers.
- **Threshold**: above it the network says "same person". It is set on test pairs so that 1 % (or 0.1 %)
  of pairs of *different* people would wrongly match. A score is only meaningful beside its threshold, and
  a threshold beside the data that it was measured on. A network without one gives a likeness and no
  verdict.
- **Verdict**: "matches you" or "does not match you", at that threshold, for that network. Nothing more.
- **Stand-in**: where a recogniser cannot be fetched, another one is used, and the result says so.
- **PSNR and SSIM** say how much the picture of the face changed. Higher is closer to the original.

## What they do not mean
- No result makes a photo safe. A system that was not tested here may still recognise the face, and so
  may people.
- Protection is not permanent. A photo that is published stays as it is, while recognisers change: a later one
  may see through what stops those of today, be trained on just such changes, or hold better photos of the person.
- By default the result is compared with the very photo that was protected. Add another photo of the
  same person for a stricter test: that is what a real gallery would hold.

## Targets
Recognisers may take the protected face for the target. Use only people who agreed to that, or faces
that do not exist. The built-in portraits are public-domain photographs of public persons, and the
average of the two.

## Marks and who reads them
DIP-Watermark writes 50 bits into the face: a number of 24 bits, and 26 more that detect misreading. Only the
number is in the photo, never a name. Whoever has this app and the key can read the number; who is behind it, only
the registry knows. The usual key is known to everybody: choose your own where that matters. A mark that is found
says that this face was marked; that none is found says nothing.

## Forging a face
The Forge tab makes false pictures of a real person, to show what a deepfake model can still do. Use your own face, or
that of somebody who agreed to it, knowing what it is for. Each forgery is labelled in the picture: leave the label
on, and publish no forgery of anybody who did not agree to that, too.

## What is kept
| What | Where | How long |
|---|---|---|
| Your photo, targets and results, and what recognisers saw in them | in memory | {grace} after the tab is closed, \
at most {minutes} after your last press |
| Files made for you | a temporary folder, served to nobody else | the same; a crash's remains go at the next start |
| The file that you uploaded | a temporary folder | until it has been read; unread, as long as your photo |
| Names and numbers on the Authority tab | a temporary file that is never served | as long as your photo (*) |
| A random secret that says which files are yours | a cookie, the only one | until the browser is closed |
| What you send to a user study | under a code, for whoever has that | a day; in a study, as its owner says there |

Programs that use the API are visitors like you: the same holds for what they send.

(*) Whoever runs the app may instead keep one registry for all (LARVATUS_IDENTITIES), whose names every visitor sees.

Photos lose their metadata (place, camera, time). The exported file carries only how it was made, so that dropping it
back in restores the settings; the names of photos that you added are not written. There are no accounts, no tracking
and no logs of pictures. The button below deletes everything of yours at once, but for what waits for
a study.

## For owners of user studies
Comparing faces by a network to tell who somebody is makes them biometric data, which Article 9 of the GDPR protects
beyond other personal data: as a rule you need the explicit consent of the people in the pictures, and a plain photo
of a person is personal data even before that. Raters' answers are personal data, too, as long as they can be traced
to a rater. The workbench has consent texts with versions and withdrawal by code; whether your study needs an ethics
board or an impact assessment, ask whoever is responsible for data protection where you work. This is no legal advice.

## Who runs this
{operator}"""

NOBODY = (
    "Whoever started this app has not said who they are (LARVATUS_OPERATOR). If you do not know, give it no photo "
    "that you would not give to a stranger."
)


def draw(desk: Desk) -> None:
    """Lay the tab out, and wire its button."""

    def delete(request: gr.Request) -> str:
        return receipt(*desk.delete(request))

    gr.Markdown(text(), elem_classes="lv-prose")
    button = gr.Button("Delete my things now", variant="stop", elem_id="lv-delete-all", size="md")
    said = gr.HTML(elem_id="lv-receipt", elem_classes="lv-quiet")
    button.click(delete, None, said, queue=False, show_progress="hidden", api_visibility="private")


def text() -> str:
    """The page, with this app's own times and operator; Markdown in the operator's name stays as it is written."""
    operator = os.environ.get("LARVATUS_OPERATOR", "").strip()
    plain = re.sub(r"([\\`*_{}\[\]()<>#+!|&~-])", lambda found: f"&#{ord(found[1])};", operator)
    times = {"{minutes}": (kept_for() + SWEEP) / 60, "{grace}": GRACE / 60}
    told = TEXT
    for name, minutes in times.items():
        told = told.replace(name, f"{minutes:g} minutes")
    return told.replace("{operator}", plain or NOBODY)


def receipt(files: int, size: int) -> str:
    """What was deleted and when, as HTML."""
    when = datetime.now(UTC).strftime("%Y-%m-%d, %H:%M:%S UTC")
    return (
        f'<p role="status"><b>Deleted at {when}:</b> {files} {"file" if files == 1 else "files"} '
        f"({size / 1e6:.1f} MB), and from memory the photo, targets and results of all your tabs, with their "
        "registry of identities, unless this app keeps one for all. Work that was under way has stopped. What this "
        "page still shows is only in your browser, and what you sent to a study waits there for a day at most: "
        '<a href="">start afresh</a>.</p>'
    )
