"""HiSD's losses, as its release has them but for two changes that the class names."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.edits import HAIR, LABELS
from engines.nets import hisd
from engines.nets.stargan import trunk
from engines.train import processes
from engines.train.forger_terms import MOST, Batch, Terms, slope, started, total
from engines.train.star_losses import TAUGHT

GIVEN = ("Male", "Young")  # what the critic is told beside the tag
NAMED = ("Bangs", "Eyeglasses", *HAIR)
TAGS = (("Bangs",), ("Eyeglasses",), HAIR)  # in the order of the release; one name: with and without


class Critic(nn.Module):
    """Scores for each value of each tag, as a translation and as a cycle; one head more names attributes."""

    def __init__(self, width: int = 24):
        super().__init__()
        self.convs, inputs = trunk(width, most=MOST)
        self.tags = nn.ModuleList(nn.Linear(inputs + len(GIVEN), 2 * max(2, len(names))) for names in TAGS)
        self.names = nn.Linear(inputs, len(NAMED))

    def pooled(self, pixels: Tensor) -> Tensor:
        """What is seen of pictures (N, 3, S, S) in [-1, 1], S a multiple of 64: (N, C)."""
        return self.convs(pixels).mean((2, 3))

    def scores(self, pooled: Tensor, given: Tensor, tag: int) -> Tensor:
        """(N, 2, values)."""
        return self.tags[tag](torch.cat([pooled, given], 1)).view(len(pooled), 2, -1)


class Hisd:
    """HiSD's losses: hinge with R1 penalty for translation and cycle, style 1, reconstruction 10.

    The critic is unlike the paper's. It is shown no style, so nothing tells extracted styles from drawn ones but the
    style loss: with styles, those of photos grew without bound within 20 steps at this size, by the release's loss,
    with a hinge in its place, with a penalty on the critic's slope in the style, and from small first styles. Its
    trunk is StarGAN's: HiSD's own learned attributes slower, step by step, at five times the cost. And it is taught:
    a real face without a value is wrong for that value's score, and it names attributes, which counts TAUGHT times
    and by which the forgeries are judged too, as StarGAN's are.
    Reconstruction counts 10, as in the other forgers: with the release's 1 faces were grey after 100 steps.
    """

    names = ("Bangs", "Eyeglasses", *LABELS)

    def __init__(self, id: str, size: int, width: int):
        self.generator: Any = hisd.Hisd()
        self.critic: Any = started(Critic())

    def draw(self, labels: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, int]]:
        """Faces with one value of one tag, and as many with the value that the first ones shall get."""
        tag = int(rng.integers(len(TAGS)))
        columns = labels[:, [self.names.index(name) for name in TAGS[tag]]] == 1
        has = [columns[:, k] & (columns.sum(1) == 1) for k in range(columns.shape[1])]
        has = has if len(has) > 1 else [has[0], ~has[0]]
        value, aim = (int(k) for k in rng.choice(len(has), 2, replace=False))
        index = [rng.choice(np.flatnonzero(has[k]), count // 2, replace=False) for k in (value, aim)]
        return np.concatenate(index), {"tag": tag, "value": value, "aim": aim}

    def _given(self, batch: Batch) -> Tensor:
        return batch.labels[:, [self.names.index(name) for name in GIVEN]]

    def _score(self, seen: Tensor, batch: Batch, value: int | list[int]) -> Tensor:
        """(N, 2) as a translation and as a cycle, for one value; (N, 2, V) for several. `seen`: pooled maps."""
        return self.critic.scores(seen, self._given(batch), batch.tag).float()[:, :, value]

    def _named(self, seen: Tensor, labels: Tensor) -> Tensor:
        """How wrong the critic names NAMED; `labels` (N, 7) of `names`."""
        aim = labels[:, : len(NAMED)]
        found = F.binary_cross_entropy_with_logits(self.critic.names(seen).float(), aim, reduction="sum")
        return found / len(aim)

    def wanted(self, batch: Batch) -> Tensor:
        """The labels (N, 7) that the forgeries shall show: those of the faces, but for the tag."""
        columns = [self.names.index(name) for name in TAGS[batch.tag]]
        out = batch.labels.clone()
        out[:, columns] = 0
        if len(columns) > 1 or batch.aim == 0:
            out[:, columns[batch.aim]] = 1
        return out

    def generator_terms(self, batch: Batch) -> Terms:
        """What the generator lowers."""
        net, x, tag = self.generator, batch.pixels, batch.tag
        maps, style = net.encoder(x), net.extractors(x, tag)
        noise = processes.drawn(torch.randn, len(x), net.sizes.noise, device=x.device)
        aim = net.mappers[tag](noise, batch.aim)
        made = net.decoder(net.translators[tag](maps, aim)).float()
        back = net.decoder(net.translators[tag](net.encoder(made), style)).float()
        own, plain = net.decoder(net.translators[tag](maps, style)).float(), net.decoder(maps).float()
        self.made, self.back = made, back.detach()
        seen, again = self.critic.pooled(made), self.critic.pooled(back)
        scores = self._score(seen, batch, batch.aim)[:, 0], self._score(again, batch, batch.value)[:, 1]
        return {
            "real": -torch.stack(scores).mean(1).sum(),
            "class": self._named(seen, self.wanted(batch)),
            "style": (net.extractors(made, tag) - aim).abs().mean(),
            "back": 10 * total((picture - x).abs().mean() for picture in (plain, own, back)),
        }

    def warm_terms(self, batch: Batch) -> Terms:
        """What the critic lowers before anything is forged: half of the faces have `value`, the others have `aim`."""
        seen = self.critic.pooled(batch.pixels)
        first, second = self._score(seen, batch, [batch.value, batch.aim]).chunk(2)
        right, wrong = torch.cat([first[..., 0], second[..., 1]]), torch.cat([first[..., 1], second[..., 0]])
        return {
            "real": F.relu(1 - right).mean(0).sum(),
            "wrong": F.relu(1 + wrong).mean(0).sum(),
            "class": TAUGHT * self._named(seen, batch.labels),
        }

    def first_terms(self, batch: Batch) -> Terms:
        """What the generator lowers before it forges: decoding undoes encoding, with the face's own style too."""
        net, x = self.generator, batch.pixels
        maps, style = net.encoder(x), net.extractors(x, batch.tag)
        both = (net.decoder(maps), net.decoder(net.translators[batch.tag](maps, style)))
        return {"back": 10 * total((picture.float() - x).abs().mean() for picture in both)}

    def critic_terms(self, batch: Batch, real: Batch) -> Terms:
        """What the critic lowers; `real` holds the batch's faces and more."""
        made = self._score(self.critic.pooled(self.made.detach()), batch, batch.aim)[:, 0]
        back = self._score(self.critic.pooled(self.back), batch, batch.value)[:, 1]
        with torch.autocast(batch.pixels.device.type, enabled=False):
            x = batch.pixels.clone().requires_grad_()
            seen = self._score(self.critic.pooled(x), batch, batch.value)
            penalty = total(slope(seen[:, k], x).square().mean() for k in range(2))
        return {
            **self.warm_terms(real),
            "made": F.relu(1 + made).mean() + F.relu(1 + back).mean(),
            "penalty": penalty,
        }
