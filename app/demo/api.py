"""The named endpoints of the Gradio API: what the tabs do, for programs, with parameters."""

from __future__ import annotations

from contextlib import closing
from typing import Any, Optional

import gradio as gr

from app import gallery
from app import photo as photos
from app.demo.api_base import LEFT, checked
from app.demo.api_boards import Boards
from app.demo.api_catalogue import Catalogue
from app.demo.api_stolen import Theft
from app.demo.api_study import Studies
from app.demo.api_survival import Survival
from app.demo.api_values import ids, read
from app.demo.session import taken
from app.demo.setting_events import registered
from app.erase import Erasure, erase
from app.jobs import protect
from app.making import Request
from app.report import Result
from app.reveal import DEFAULT_KEY, check_claim, reveal
from app.score import score
from app.scoring import JobError
from app.watermarks import USUAL as WORDS
from engines.methods import method as method_of


class Api(Boards, Survival, Theft, Studies, Catalogue):
    """The endpoints on one runtime."""

    @checked
    def protect(
        self,
        photo: str,
        targets: list[str] | None = None,
        target_photos: list[str] | None = None,
        method: str = "tip-im",
        params: Any = None,
        reference: str | None = None,
        seed: float = 0,
        far: float = 0.01,
        format: str = "PNG",
        quality: float = 95,
        surrogates: list[str] | None = None,
        judges: list[str] | None = None,
        identity: str = "",
        key: str = DEFAULT_KEY,
        words: str = WORDS,
        watermark: str | None = None,
        request: Optional[gr.Request] = None,  # noqa: UP045  Gradio looks for this very annotation
    ) -> tuple[str, dict[str, Any]]:
        """Protect the largest face in a photo, and score the exported file.

        Args:
            photo: The photo, as a file.
            targets: Names of built-in faces to steer recognisers towards.
            target_photos: Photos of targets, who must have agreed or not exist.
            method: The id of the method, such as tip-im.
            params: Settings of the method, as an object or JSON text; what is left out has the paper's value.
            reference: Another photo of the same person, for a stricter test.
            seed: The seed; the same one gives the same file.
            far: False-acceptance rate of the thresholds: 0.01 or 0.001.
            format: PNG or JPEG.
            quality: JPEG quality, 1 to 100.
            surrogates: Ids of the recognisers to attack; none means the usual one.
            judges: Ids of the recognisers that only score the file; none means every judge that is there.
            identity: What dip-watermark writes: a name, registered for this client, or a number as 24 bits.
            key: The key of the mark; whoever reads it needs the same one.
            words: The model's watermark, for a method whose pictures carry one.
            watermark: A picture that is the watermark instead of words.

        Returns:
            The protected file, and the report: scores, verdict, survival, provenance.
        """
        people = [gallery.person(self.runtime, name) for name in targets or ()]
        people += [self._person(path) for path in target_photos or ()]
        identities = self.desk.of(request).identities
        if "message" in method_of(method).needs:
            registered(identities, identity, key)
        job = Request(
            self._person(photo),
            method,
            read(params),
            tuple(people),
            self._person(reference) if reference else None,
            self._panel(ids(surrogates), ids(judges)),
            seed=int(seed),
            far=float(far),
            format=format,
            quality=int(quality),
            identity=identity,
            key=key,
            identities=identities,
            watermark=self._watermark(words, watermark) if "watermark" in method_of(method).needs else None,
        )
        with closing(protect(self.runtime, job, self._left(request))) as work:
            result = next((item for item in work if isinstance(item, Result)), None)
        if result is None:
            raise JobError(LEFT)
        return self.desk.of(request).write(result.name, result.file), result.as_dict()

    @checked
    def score(
        self,
        photo: str,
        against: str,
        judges: list[str] | None = None,
        far: float = 0.01,
        request: Optional[gr.Request] = None,  # noqa: UP045  Gradio looks for this very annotation
    ) -> dict[str, Any]:
        """Score the largest face in a photo against a person.

        Args:
            photo: The photo to score, such as a file that a protection made.
            against: A photo of the person to compare with.
            judges: Ids of the recognisers that score; none means the usual panel.
            far: False-acceptance rate of the thresholds: 0.01 or 0.001.

        Returns:
            A row a recogniser with its cosine and threshold, the verdict, and who could not be asked.
        """
        if not against:
            raise JobError("There is no photo of the person: give one as `against`.")
        found = score(self.runtime, self._person(photo), self._person(against), ids(judges), float(far))
        return found.as_dict()

    @checked
    def reveal(
        self,
        photo: str,
        key: str = DEFAULT_KEY,
        claim: str = "",
        method: str = "dip-watermark",
        request: Optional[gr.Request] = None,  # noqa: UP045  Gradio looks for this very annotation
    ) -> dict[str, Any]:
        """Read the identity that each face of a photo carries.

        Args:
            photo: The photo, as a file.
            key: The key that the mark was made with.
            claim: A name that this client has registered, or 24 bits: accept or reject it.
            method: The id of the method that left the mark.

        Returns:
            One row a face, the largest first; with a claim, whether it is accepted.
        """
        if not photo:
            raise JobError("There is no photo: give one as `photo`.")
        identities = self.desk.of(request).identities
        found = reveal(self.runtime, photos.load(taken(photo)), identities, key, method)
        answer = {"claim": check_claim(found, claim, identities, key).as_dict()} if claim.strip() else {}
        return {"rows": [one.as_dict() for one in found], **answer}

    @checked
    def erase(
        self,
        photo: str,
        method: str = "erasable-mask",
        restorer: str = "",
        original: str | None = None,
        reference: str | None = None,
        far: float = 0.01,
        words: str = "",
        watermark: str | None = None,
        request: Optional[gr.Request] = None,  # noqa: UP045  Gradio looks for this very annotation
    ) -> tuple[str, dict[str, Any]]:
        """Erase the mask of the largest face in a photo, and score both files.

        Args:
            photo: The masked photo, as a file.
            method: The id of the method that masked it.
            restorer: By whom the mask is taken off; none means by whom the file names, or the usual one.
            original: The photo before it was masked, to compare with.
            reference: Another photo of the person, to compare with.
            far: False-acceptance rate of the thresholds: 0.01 or 0.001.
            words: The model's watermark that is expected, to compare with.
            watermark: A picture that is expected instead of words.

        Returns:
            The photo without its mask, and the report: scores of both files, verdict, provenance.
        """
        if not photo:
            raise JobError("There is no photo: give one as `photo`.")
        masked, before, other = (path and photos.load(taken(path)) for path in (photo, original, reference))
        known = (restorer, before or None, other or None)
        expected = self._watermark(words, watermark) if words or watermark else None
        found = erase(self.runtime, Erasure(masked, method, *known, far=float(far), watermark=expected))
        return self.desk.of(request).write(found.name, found.file), found.as_dict()
