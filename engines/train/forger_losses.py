"""What each forger is trained to do, as its paper and release have it; each term comes with its weight.

An objective holds a generator and a critic and gives the terms of either loss. The generator's terms are asked
for first; the critic's then judge the very pictures that the generator has just made, beside more real ones than
were forged: the critic is the cheaper network, and the generator learns from it what an attribute looks like.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.edits import HAIR, LABELS
from engines.nets import hisd, relgan, stargan

Terms = dict[str, Tensor]
GIVEN = ("Male", "Young")  # what HiSD's critic is told beside the tag
TAUGHT = 4
TAGS = (("Bangs",), ("Eyeglasses",), HAIR)  # HiSD's, in the order of its release; one name: with and without


@dataclass(frozen=True)
class Batch:
    """`pixels` (N, 3, S, S) in [-1, 1]; `labels` (N, L) 0 or 1. HiSD: all have `value` of `tag` and get `aim`."""

    pixels: Tensor
    labels: Tensor
    tag: int = 0
    value: int = 0
    aim: int = 0

    def first(self, count: int) -> Batch:
        """The batch without all but the first faces."""
        return replace(self, pixels=self.pixels[:count], labels=self.labels[:count])


def started(critic: nn.Module) -> nn.Module:
    """He et al.'s start: attributes at 2.0 nats a face after 150 steps of 8 faces; with torch's own, at 2.5."""
    for layer in critic.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, a=0.01)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return critic


def _sum(values: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(values)).sum()


def slope(score: Tensor, pixels: Tensor) -> Tensor:
    """The norm of a score's gradient in each picture, (N,); it can be differentiated again."""
    (found,) = torch.autograd.grad(score.sum(), pixels, create_graph=True)
    return found.flatten(1).norm(dim=1)


def between(real: Tensor, made: Tensor) -> Tensor:
    """A random point on the line between each pair of pictures, for a gradient penalty."""
    share = torch.rand(len(real), 1, 1, 1, device=real.device)
    return (share * real + (1 - share) * made.detach()).requires_grad_()


class Star:
    """StarGAN's losses: Wasserstein with gradient penalty 10, classification 1, reconstruction 10.

    The critic's own classification counts TAUGHT times as much as in the papers: at 1 it stood at 3.2 nats a face
    after 200 steps, worse than guessing, where classification alone comes to 1.6 in 150. 10 also worked; 4 leaves
    more to realness, and was not compared on its own.
    """

    names = LABELS
    generators: dict[str, type[stargan.StarGan]] = {
        "stargan": stargan.StarGan,
        "attentiongan": stargan.AttentionGan,
        "fpgan": stargan.FixedPointGan,
    }

    def __init__(self, id: str, size: int, width: int):
        self.generator: Any = self.generators[id](len(LABELS), width)
        self.critic: Any = started(stargan.Discriminator(size, len(LABELS), 32))
        self.same = id == "fpgan"

    def draw(self, labels: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, int]]:
        """Which faces a step shows, and what is asked of all of them."""
        return rng.choice(len(labels), count, replace=False), {}

    def _path(self, batch: Batch, labels: Tensor) -> tuple[Tensor, Terms]:
        """There and back again: the forged picture, and what is lost."""
        made = self.generator(batch.pixels, labels)
        real, found = self.critic(made)
        back = self.generator(made, batch.labels)
        return made, {
            "real": -real.float().mean(),
            "class": self._class(found, labels),
            "back": 10 * (back - batch.pixels).abs().mean(),
        }

    def generator_terms(self, batch: Batch) -> Terms:
        """What the generator lowers; Fixed-Point GAN also asks that a face's own labels change nothing."""
        self.made, terms = self._path(batch, batch.labels.roll(1, 0))
        if self.same:
            own, more = self._path(batch, batch.labels)
            terms |= {f"own {name}": value for name, value in more.items()}
            terms["own"] = 10 * (own - batch.pixels).abs().mean()
        return terms

    def _class(self, found: Tensor, labels: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(found.float(), labels, reduction="sum") / len(labels)

    def warm_terms(self, batch: Batch) -> Terms:
        """What the critic lowers before anything is forged."""
        return {"class": self._class(self.critic(batch.pixels)[1], batch.labels)}

    def first_terms(self, batch: Batch) -> Terms:
        """What the generator lowers before it forges: a face with its own labels is that face."""
        return {"own": 10 * (self.generator(batch.pixels, batch.labels) - batch.pixels).abs().mean()}

    def critic_terms(self, batch: Batch, real: Batch) -> Terms:
        """What the critic lowers; `real` holds the batch's faces and more."""
        score, found = self.critic(real.pixels)
        with torch.autocast(batch.pixels.device.type, enabled=False):
            middle = between(batch.pixels, self.made)
            penalty = 10 * (slope(self.critic(middle)[0], middle) - 1).square().mean()
        return {
            "real": -score.float().mean(),
            "made": self.critic(self.made.detach())[0].float().mean(),
            "class": TAUGHT * self._class(found, real.labels),
            "penalty": penalty,
        }


class Rel:
    """RelGAN's losses: least squares, matching of the change, interpolation 1, cycle and self 10, orthogonality."""

    names = LABELS
    draw = Star.draw

    def __init__(self, id: str, size: int, width: int):
        self.generator: Any = relgan.RelGan(len(LABELS), width)
        self.critic: Any = started(relgan.RelDiscriminator(len(LABELS), 16, hidden=256))

    def generator_terms(self, batch: Batch) -> Terms:
        """What the generator lowers."""
        a, change = batch.pixels, batch.labels.roll(1, 0) - batch.labels
        share = torch.rand(len(a), 1, device=a.device)
        made, own = self.generator(a, change), self.generator(a, torch.zeros_like(change))
        part = self.generator(a, share * change)
        self.made, self.own, self.part, self.share = made, own, part, share
        return {
            "real": (self.critic.real(made).float() - 1).square().mean(),
            "match": (self.critic.matches(a, made, change).float() - 1).square().mean(),
            "part": self.critic.interpolated(part).float().square().mean(),
            "back": 10 * (self.generator(made, -change) - a).abs().mean(),
            "own": 10 * (own - a).abs().mean(),
            "orthogonal": 1e-4 * orthogonality(self.generator),
        }

    def warm_terms(self, batch: Batch) -> Terms:
        """What the critic lowers before anything is forged: true pairs score 1, four kinds of wrong ones 0."""
        a, labels = batch.pixels, batch.labels
        b, c = (a.roll(k, 0) for k in (1, 2))
        to_b, to_c = (labels.roll(k, 0) - labels for k in (1, 2))
        wrong = [(c, b, to_b), (a, c, to_b), (a, b, to_c), (a, b, to_b - to_c)]
        return {
            "match": (self.critic.matches(a, b, to_b).float() - 1).square().mean(),
            "wrong": _sum(self.critic.matches(*pair).float().square().mean() for pair in wrong),
        }

    def first_terms(self, batch: Batch) -> Terms:
        """What the generator lowers before it forges: no change gives the face back."""
        return {"own": 10 * (self.generator(batch.pixels, 0 * batch.labels) - batch.pixels).abs().mean()}

    def critic_terms(self, batch: Batch, real: Batch) -> Terms:
        """What the critic lowers; `real` holds the batch's faces and more."""
        a, critic = batch.pixels, self.critic
        change, made = batch.labels.roll(1, 0) - batch.labels, self.made.detach()
        low = self.share < 0.5
        aim = torch.where(low, self.share, 1 - self.share)
        end = torch.where(low, critic.interpolated(self.own.detach()), critic.interpolated(made))
        part = critic.interpolated(self.part.detach()).float()
        with torch.autocast(a.device.type, enabled=False):
            middle = between(a, made)
            penalty = 150 * (slope(critic.real(middle), middle) - 1).square().mean()
        return {
            **self.warm_terms(real),
            "real": (critic.real(real.pixels).float() - 1).square().mean(),
            "made": critic.real(made).float().square().mean(),
            "unlike": critic.matches(a, made, change).float().square().mean(),
            "part": (part - aim).square().mean() + end.float().square().mean(),
            "penalty": penalty,
        }


def orthogonality(net: nn.Module) -> Tensor:
    """How far the filters at each place of a kernel are from orthogonal: the squared off-diagonal of WᵀW, summed."""
    return _sum(_skew(p) for p in net.parameters() if p.ndim == 4 and p.shape[-1] > 1)


def _skew(weight: Tensor) -> Tensor:
    rows = weight.permute(2, 3, 0, 1).flatten(0, 1)
    gram = rows.transpose(1, 2) @ rows
    return (gram - torch.diag_embed(gram.diagonal(dim1=1, dim2=2))).square().sum()


class Hisd:
    """HiSD's losses: hinge with R1 penalty for translation and cycle, style 1, reconstruction 1."""

    names = ("Bangs", "Eyeglasses", *LABELS)

    def __init__(self, id: str, size: int, width: int):
        self.generator: Any = hisd.Hisd()
        self.critic: Any = hisd.HisdDiscriminator()

    def draw(self, labels: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, int]]:
        """Faces that share one value of one tag, and the value that they shall get."""
        tag = int(rng.integers(len(TAGS)))
        columns = [self.names.index(name) for name in TAGS[tag]]
        values = len(columns) if len(columns) > 1 else 2
        value, step = int(rng.integers(values)), int(rng.integers(1, values))
        has = labels[:, columns[value if values > 2 else 0]] == (1 if values > 2 or value == 0 else 0)
        if values > 2:
            has &= labels[:, columns].sum(1) == 1
        asked = {"tag": tag, "value": value, "aim": (value + step) % values}
        return rng.choice(np.flatnonzero(has), count, replace=False), asked

    def _given(self, batch: Batch) -> Tensor:
        return batch.labels[:, [self.names.index(name) for name in GIVEN]]

    def _score(self, pixels: Tensor, style: Tensor, batch: Batch, value: int) -> Tensor:
        """(N, 2): as a translation, and as a cycle."""
        return self.critic(pixels, style, self._given(batch), batch.tag).float()[:, :, value]

    def generator_terms(self, batch: Batch) -> Terms:
        """What the generator lowers; the photo's own score teaches the extractor (learned inference)."""
        net, x, tag = self.generator, batch.pixels, batch.tag
        maps, style = net.encoder(x), net.extractors(x, tag)
        noise = torch.randn(len(x), net.sizes.noise, device=x.device)
        aim = net.mappers[tag](noise, batch.aim)
        made = net.decoder(net.translators[tag](maps, aim)).float()
        back = net.decoder(net.translators[tag](net.encoder(made), style)).float()
        own, plain = net.decoder(net.translators[tag](maps, style)).float(), net.decoder(maps).float()
        self.made, self.back, self.style, self.aim = (t.detach() for t in (made, back, style, aim))
        scores = self._score(x, style, batch, batch.value).mean(0).sum()
        scores = scores - self._score(made, aim.detach(), batch, batch.aim)[:, 0].mean()
        return {
            "real": scores - self._score(back, style.detach(), batch, batch.value)[:, 1].mean(),
            "style": (net.extractors(made, tag) - aim).abs().mean(),
            "back": _sum((picture - x).abs().mean() for picture in (plain, own, back)),
        }

    def warm_terms(self, batch: Batch) -> Terms:
        """Nothing: its critic learns from translations alone."""
        return {}

    def first_terms(self, batch: Batch) -> Terms:
        """What the generator lowers before it forges: decoding undoes encoding, with the face's own style too."""
        net, x = self.generator, batch.pixels
        maps, style = net.encoder(x), net.extractors(x, batch.tag)
        both = (net.decoder(maps), net.decoder(net.translators[batch.tag](maps, style)))
        return {"back": _sum((picture.float() - x).abs().mean() for picture in both)}

    def critic_terms(self, batch: Batch, real: Batch) -> Terms:
        """What the critic lowers; each score needs the photo's own style, so no more faces than were forged."""
        made = self._score(self.made, self.aim, batch, batch.aim)[:, 0]
        back = self._score(self.back, self.style, batch, batch.value)[:, 1]
        with torch.autocast(batch.pixels.device.type, enabled=False):
            x = batch.pixels.clone().requires_grad_()
            own = self._score(x, self.style.float(), batch, batch.value)
            penalty = _sum(slope(own[:, k], x).square().mean() for k in range(2))
        return {
            "real": F.relu(1 - own).mean(0).sum(),
            "made": F.relu(1 + made).mean() + F.relu(1 + back).mean(),
            "penalty": penalty,
        }


OBJECTIVES: dict[str, Any] = {"stargan": Star, "attentiongan": Star, "fpgan": Star, "relgan": Rel, "hisd": Hisd}
