"""DiffFace (Kim et al., 2022), the paper's own mask generator MG of IPMN (Eq. 1): an ID-conditional DDPM swaps faces.

Sampling starts from the protected face under noise and comes back by DDIM (`engines/ddim.py`). The network hears the
identity of the replacing face, facial guidance (`engines/facial_guidance.py`) bends each step, and target-preserving
blending keeps what lies around the face. The release samples by DDPM, from 100 time steps, the best of four times.

The small network works at 64 pixels. Its face is enlarged to 128 smoothly and laid over the photo under a soft mask:
nothing finer than 64 pixels shows in it, neither of the one face nor of the other, so it is softer than the photo. At
the rim of the mask the two mix.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from kornia.filters import gaussian_blur2d
from torch import Tensor

from engines.ddim import Schedule, spaced
from engines.diffface_network import SIDE, DiffFace
from engines.face import FaceError
from engines.facial_guidance import Gaze, Guidance, Weights
from engines.method import MethodError, Snapshot
from engines.nets.parser import FACE, mask
from engines.parse import parts
from engines.recognise import Recogniser

LEAST = 0.04  # of a crop's pixels that must be face
GROW, SOFT = 2, 9  # pixels: how far beyond the face the mask reaches, and how wide its edge falls


@dataclass(frozen=True)
class Settings:
    """How a face is sampled.

    `steps` of DDIM. Of the way to pure noise the protected face is spared the share `skipped`, 0 up to 1: the more,
    the more is left of it. The mask's strength grows from 0 at the first step to 1 where the share `full` of the way
    is left. Both are shares of the linear schedule's time steps (`Schedule.clock`); 0.25 and 0.3 are the release's.
    """

    steps: int = 25
    skipped: float = 0.25
    full: float = 0.3
    weights: Weights = Weights()

    def times(self, schedule: Schedule) -> list[int]:
        """The time steps from the first down to 0; MethodError for settings out of range."""
        if not 0 <= self.skipped < 1 or not 0 <= self.full <= 1:
            raise MethodError("The skipped share must be from 0 up to 1, that of the whole mask from 0 to 1.")
        try:
            return spaced(schedule.at(1 - self.skipped), self.steps)
        except ValueError as error:
            raise MethodError(str(error)) from None

    def strength(self, clock: float) -> float:
        """Of the mask after a step: 0 to 1 (the release's mask intensity)."""
        return min(1.0, max(0.0, (1 - self.skipped - clock) / max(1e-9, 1 - self.skipped - self.full)))


def face_mask(pixels: Tensor) -> Tensor:
    """The soft mask of target-preserving blending: (1, 3, 128, 128) in [0, 1] -> (1, 1, 128, 128), 1 on the face.

    Glasses count as face, which the release leaves standing. FaceError where hardly any of the crop is face.
    """
    seen = mask(parts(pixels), FACE)
    if seen.mean() < LEAST:
        raise FaceError("No face can be made out in the crop: choose a photo with a whole face in it.")
    grown = F.max_pool2d(seen, 2 * GROW + 1, 1, GROW)
    return gaussian_blur2d(grown, (SOFT, SOFT), (SOFT / 4, SOFT / 4)).clamp(0, 1)


def laid(photo: Tensor, face: Tensor, where: Tensor) -> Tensor:
    """A face around [-1, 1] over a photo in [0, 1], both (1, 3, S, S); where the mask is 0, exactly the photo."""
    over = torch.lerp(photo, ((face + 1) / 2).clamp(0, 1), where)
    return torch.where(where > 0, over, photo)


@dataclass(frozen=True)
class Sampler:
    """One swap: `protected` (1, 3, 128, 128) in [0, 1] and the mask `where`; `identity` (1, D) of the other face."""

    protected: Tensor
    where: Tensor
    identity: Tensor
    net: DiffFace
    guidance: Guidance
    settings: Settings

    def snapshots(self, times: Sequence[int], noise: Tensor) -> Iterator[Snapshot]:
        """From the protected face under `noise` (1, 3, side, side) at the first time step down to the last."""
        schedule = self.net.schedule
        target = 2 * self.net.shrunk(self.protected).clamp(0, 1) - 1
        hole = self.net.shrunk(self.where).clamp(0, 1)
        noisy = schedule.noised(target, noise, times[0])
        for step, (time, then) in enumerate(pairwise([*times, -1]), start=1):
            clean, seen = self.bent(noisy, time)
            # What lies around takes the straight way from the first noise to the photo, which is DDIM's own.
            around = schedule.noised(target, noise, then)
            strength = self.settings.strength(schedule.clock(time))
            noisy = torch.lerp(around, schedule.noised(clean, seen, then), strength * hole)
            yield Snapshot(laid(self.protected, self.net.enlarged(clean), self.where), step, len(times))

    def bent(self, noisy: Tensor, time: int) -> tuple[Tensor, Tensor]:
        """x̂_0 in [-1, 1] and ε̂ of x_t (1, 3, side, side) under the guidance.

        x̂_0 is clipped, and ε̂ made to lead from it to x_t again; the release does neither.
        """
        schedule = self.net.schedule
        with torch.set_grad_enabled(bool(self.guidance)):
            noisy = noisy.detach().requires_grad_(bool(self.guidance))
            noise = self.net.noise(noisy, time, self.identity)
            clean = self.net.enlarged(schedule.clean(noisy, noise, time))
            terms = self.guidance.terms(laid(self.protected, clean, self.where), schedule.clock(time))
            if terms:
                kept = schedule.share(time, noisy)
                noise = noise + self.guidance.correction(terms, noisy, noise.detach(), kept)
        noisy, noise = noisy.detach(), noise.detach()
        clean = schedule.clean(noisy, noise, time).clamp(-1, 1)
        return clean, schedule.noise(noisy, clean, time)


def denoise(
    protected: Tensor,
    replacing: Tensor,
    net: DiffFace,
    recognisers: Sequence[Recogniser] = (),
    settings: Settings = Settings(),
    seed: int = 0,
    gaze: Gaze | None = None,
) -> Iterator[Snapshot]:
    """Swap step by step: crops (1, 3, 128, 128) in [0, 1], cut as CELEBA128 -> a snapshot of the same a step.

    A snapshot shows the face that the network predicts by then, in the photo; the last one is the result. Pixels
    outside the mask keep their exact values. The same faces, settings and seed give the same. `recognisers` guide and
    so count as attacked, as does the one that the network listens to. Guidance takes gradients: not to be iterated
    under `torch.inference_mode`. Raises at once FaceError for other crops or without a face, and MethodError for
    settings out of range or where a judge or an untrained network shall guide.
    """
    for pixels in (protected, replacing):
        if tuple(pixels.shape) != (1, 3, SIDE, SIDE):
            raise FaceError(f"Faces are swapped in crops (1, 3, {SIDE}, {SIDE}), not {tuple(pixels.shape)}.")
    times = settings.times(net.schedule)
    protected, replacing = (pixels.detach().to(net.device) for pixels in (protected, replacing))
    where = face_mask(protected) * net.reach().to(protected)
    guidance = Guidance(protected, replacing, recognisers, settings.weights, gaze)
    noise = torch.randn(1, 3, net.side, net.side, generator=torch.Generator().manual_seed(seed)).to(protected)
    sampler = Sampler(protected, where, net.listen(replacing), net, guidance, settings)
    return sampler.snapshots(times, noise)


def swap(
    protected: Tensor,
    replacing: Tensor,
    net: DiffFace,
    recognisers: Sequence[Recogniser] = (),
    settings: Settings = Settings(),
    seed: int = 0,
    gaze: Gaze | None = None,
) -> Tensor:
    """x_m = MG(x_p, x_r): what the last snapshot of `denoise` shows, (1, 3, 128, 128) in [0, 1]."""
    *_, last = denoise(protected, replacing, net, recognisers, settings, seed, gaze)
    return last.pixels


@torch.no_grad()
def imagined(net: DiffFace, rows: Tensor, noise: Tensor, steps: int = 25) -> Tensor:
    """Faces out of noise (N, 3, side, side) alone, of the people of `rows` (N, D): the same shape in [0, 1].

    No swap and no guidance: what the network has learnt of an identity.
    """
    schedule, noisy = net.schedule, noise
    for time, then in pairwise([*spaced(len(schedule) - 1, steps), -1]):
        clean = schedule.clean(noisy, net.noise(noisy, time, rows), time).clamp(-1, 1)
        noisy = schedule.noised(clean, schedule.noise(noisy, clean, time), then)
    return (noisy + 1) / 2
