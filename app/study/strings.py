"""Every text that a rater may see, in one place for translation.

`TEXTS[language][key]`; a translation is one more entry with the same keys (a test holds that).
"""

from __future__ import annotations

from app.study.errors import StudyError

ENGLISH = {
    "page": "Larvatus study",
    "question.pairs": "Which picture looks more natural?",
    "question.acr": "How natural does this picture look?",
    "question.dsis": "Compared with the reference, how much is the second picture impaired?",
    "question.detection": "One of these two pictures was altered. Which one?",
    "question.verification": "Do these two pictures show the same person?",
    "question.artefacts": "Draw a box around everything that looks wrong, and say what it is.",
    "answer.first": "Left",
    "answer.second": "Right",
    "answer.tie": "No difference",
    "answer.same": "Same person",
    "answer.different": "Different people",
    # ITU-T P.910, table of the ACR scale
    "acr.5": "Excellent",
    "acr.4": "Good",
    "acr.3": "Fair",
    "acr.2": "Poor",
    "acr.1": "Bad",
    # ITU-R BT.500, five-grade impairment scale
    "dsis.5": "Imperceptible",
    "dsis.4": "Perceptible, but not annoying",
    "dsis.3": "Slightly annoying",
    "dsis.2": "Annoying",
    "dsis.1": "Very annoying",
    "label.eyes": "Eyes",
    "label.mouth": "Mouth",
    "label.skin": "Skin",
    "label.hair": "Hair",
    "label.edge": "Edge or seam",
    "label.texture": "Noise or texture",
    "label.colour": "Colour or light",
    "label.shape": "Shape of the face",
    "label.other": "Something else",
    "picture.reference": "Reference",
    "picture.first": "Left picture",
    "picture.second": "Right picture",
    "picture.only": "Picture",
    "training": "Practice: these first answers do not count.",
    "progress": "{done} of {total}",
    "welcome": "You will be shown pictures and asked one question about each.",
    "consent.default": (
        "Your answers are kept under a random number, together with how long each took and the size of your "
        "screen, and are used for research. You may stop at any time and have all your answers deleted with the "
        "code that you are given."
    ),
    "consent.agree": "I have read this and agree to take part",
    "demographics": "About you (optional)",
    "demographics.skip": "Prefer not to say",
    "code": "Your code is {code}. Write it down: with it you can go on later, on any device, or delete your answers.",
    "pause": "Pause",
    "paused": "Paused. Your answers are kept. Enter your code to go on.",
    "resume": "Go on with a code",
    "withdraw": "Delete my answers",
    "withdrawn": "Your {answers} answers have been deleted.",
    "finished": "That was the last one. Thank you.",
    "completion": "Back to the site that sent you here",
    "preview": "Preview: nothing is stored.",
    "nothing": "Nothing looks wrong",
    "remove": "Remove this box",
    "next": "Next",
    "start": "Start",
    "consent.title": "Before you start",
    "code.name": "Your code",
    "code.unknown": "You came back by your link. A new code replaces the one that you were given first.",
    "code.renew": "Give me a new code",
    "resume.button": "Go on",
    "withdraw.sure": "This deletes every answer given under this code, for good.",
    "withdraw.yes": "Yes, delete them",
    "picture.judged": "Picture to judge",
    "boxes.what": "What is wrong in box",
    "boxes.choose": "What is it?",
    "boxes.bare": "Say what it is for every box.",
    "boxes.add": "Add a box",
    "boxes.box": "Box",
    "boxes.keys": "Arrow keys move it, Shift with arrow keys changes its size.",
    "boxes.empty": "Draw at least one box, or say that nothing looks wrong.",
    "trial.loading": "Loading the pictures",
    "trial.look": "Take a look first",
    "trial.help": "Click, tap, or use the keys that are shown.",
    "trial.saving": "Saving your answer",
    "trial.lost": "Your answer has not arrived yet. It is not lost:",
    "trial.again": "Send it again",
    "trial.broken": "A picture could not be loaded: reload the page, your answers are kept.",
    "error.closed": "This study is closed: no more answers are taken.",
    "error.draft": "This study is not open yet: ask the person who sent you here.",
    "error.enough": "This study has all the raters that it needs: thank you for coming.",
    "error.consent": "Please read the current consent text and agree to it before you start.",
    "error.unknown_study": "There is no such study: check the address that you were given.",
    "error.unknown_rater": "This session is not known here: enter your code, or start again.",
    "error.unknown_code": "No session has this code: check it letter by letter.",
    "error.unknown_trial": "This question is not part of your session: reload the page.",
    "error.turn": "This question is not the next one: reload the page.",
    "error.answered": "This question has been answered already, and the first answer counts: reload the page.",
    "error.token": "This answer was sent for another question: reload the page and answer again.",
    "error.too_fast": "Please look at the picture for at least {seconds:g} seconds before you answer.",
    "error.answer": "This is not one of the possible answers: choose one of {choices}.",
    "error.boxes": "The boxes cannot be read: draw them again inside the picture.",
    "error.box_label": "A box has no valid label: choose what is wrong from the list.",
    "error.box_count": "There are more than {most} boxes: mark only what looks most wrong.",
    "error.timing": "The time of this answer cannot be read: reload the page and answer again.",
    "error.external": "The address holds an id that cannot be read: open the study from the link you were given.",
    "error.demographics": "One of the answers about you is not in the list: choose again, or leave it out.",
    "error.code": "This is no code of ours: it has {length} letters and digits, as in 7KQM-2XHW-R9TC.",
    "error.database": "The study's database refused this ({said}): check what was asked, or the disk.",
    "error.busy": "The study's database is busy: try again in a moment.",
}
TEXTS: dict[str, dict[str, str]] = {"en": ENGLISH}


def text(key: str, language: str = "en", **values: object) -> str:
    """The text for a key, with `values` filled in. Raises StudyError for a language that is not there."""
    if language not in TEXTS:
        raise StudyError(f"There is no translation into {language}: choose one of {', '.join(sorted(TEXTS))}.")
    found = TEXTS[language][key]
    return found.format(**values) if values else found
