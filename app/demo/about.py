"""The About & privacy tab: what the scores mean, what they do not, and what is kept."""

from __future__ import annotations

from datetime import UTC, datetime

import gradio as gr

from app.demo.session import Desk, kept_for

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
- Systems improve, can be trained on such changes, and may hold better photos of the same person.
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

## What is kept
- A photo is held in memory while your tab is open, and an upload's own file is removed as soon as it
  has been read.
- Pictures and downloads made for you lie in a temporary folder, and are served only to the browser or API client
  that made them: it holds a secret in a cookie, the only one that is set, gone when the browser is closed.
  They are deleted within minutes of the tab being closed, and in any case {minutes} after your last
  press of a button; the button below deletes them at once. What a crash leaves behind goes at the next start.
- The registry of identities on the Authority tab lives in a temporary file that is never served, and goes with
  your session; whoever runs the app may instead keep one registry for all (LARVATUS_IDENTITIES), whose names
  every visitor then sees.
- Photos lose their metadata (place, camera, time). The exported file carries only how it was made, so
  that dropping it back in restores the settings. The names of photos that you added are not written.
- There are no accounts, no tracking and no logs of pictures."""


def draw(desk: Desk) -> None:
    """Lay the tab out, and wire its button."""

    def delete(request: gr.Request) -> str:
        return receipt(*desk.delete(request))

    gr.Markdown(TEXT.replace("{minutes}", f"{kept_for() / 60:g} minutes"), elem_classes="lv-prose")
    button = gr.Button("Delete my things now", variant="stop", elem_id="lv-delete-all", size="md")
    said = gr.HTML(elem_id="lv-receipt", elem_classes="lv-quiet")
    button.click(delete, None, said, queue=False, show_progress="hidden", api_visibility="private")


def receipt(files: int, size: int) -> str:
    """What was deleted and when, as HTML."""
    when = datetime.now(UTC).strftime("%Y-%m-%d, %H:%M:%S UTC")
    return (
        f'<p role="status"><b>Deleted at {when}:</b> {files} {"file" if files == 1 else "files"} '
        f"({size / 1e6:.1f} MB), and from memory the photo, targets and results of all your tabs, with their "
        "registry of identities, unless this app keeps one for all. Work that was under way has stopped. What this "
        "page still shows is only in your browser: "
        '<a href="">start afresh</a>.</p>'
    )
