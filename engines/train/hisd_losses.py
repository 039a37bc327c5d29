"""HiSD's losses, as its release has them but for two changes that the class names."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engines.edits import HAIR, LABELS
from engines.nets import hisd
from engines.train.forger_terms import Batch, Terms, slope, started, total

GIVEN = ("Male", "Young")  # what the critic is told beside the tag
TAGS = (("Bangs",), ("Eyeglasses",), HAIR)  # in the order of the release; one name: with and without


class Hisd:
    """HiSD's losses: hinge with R1 penalty for translation and cycle, style 1, reconstruction 1.

    Two things are unlike the paper. The critic is shown no style, so nothing tells extracted styles from drawn ones
    but the style loss: with styles, those of photos grew without bound within 20 steps at this size, by the release's
    loss, with a hinge in its place, with a penalty on the critic's slope in the style, and from small first styles.
    And it is taught values from the start: a real face without a value is wrong for that value's score.
    """

    names = ("Bangs", "Eyeglasses", *LABELS)

    def __init__(self, id: str, size: int, width: int):
        self.generator: Any = hisd.Hisd()
        self.critic: Any = started(hisd.HisdDiscriminator())

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

    def _score(self, pixels: Tensor, batch: Batch, value: int | list[int]) -> Tensor:
        """(N, 2) as a translation and as a cycle, for one value; (N, 2, V) for several."""
        no_style = pixels.new_zeros(len(pixels), self.generator.sizes.style)
        return self.critic(pixels, no_style, self._given(batch), batch.tag).float()[:, :, value]

    def generator_terms(self, batch: Batch) -> Terms:
        """What the generator lowers."""
        net, x, tag = self.generator, batch.pixels, batch.tag
        maps, style = net.encoder(x), net.extractors(x, tag)
        noise = torch.randn(len(x), net.sizes.noise, device=x.device)
        aim = net.mappers[tag](noise, batch.aim)
        made = net.decoder(net.translators[tag](maps, aim)).float()
        back = net.decoder(net.translators[tag](net.encoder(made), style)).float()
        own, plain = net.decoder(net.translators[tag](maps, style)).float(), net.decoder(maps).float()
        self.made, self.back = made.detach(), back.detach()
        as_made = self._score(made, batch, batch.aim)[:, 0].mean()
        return {
            "real": -as_made - self._score(back, batch, batch.value)[:, 1].mean(),
            "style": (net.extractors(made, tag) - aim).abs().mean(),
            "back": total((picture - x).abs().mean() for picture in (plain, own, back)),
        }

    def warm_terms(self, batch: Batch) -> Terms:
        """What the critic lowers before anything is forged: half of the faces have `value`, the others have `aim`."""
        first, second = self._score(batch.pixels, batch, [batch.value, batch.aim]).chunk(2)
        right, wrong = torch.cat([first[..., 0], second[..., 1]]), torch.cat([first[..., 1], second[..., 0]])
        return {"real": F.relu(1 - right).mean(0).sum(), "wrong": F.relu(1 + wrong).mean(0).sum()}

    def first_terms(self, batch: Batch) -> Terms:
        """What the generator lowers before it forges: decoding undoes encoding, with the face's own style too."""
        net, x = self.generator, batch.pixels
        maps, style = net.encoder(x), net.extractors(x, batch.tag)
        both = (net.decoder(maps), net.decoder(net.translators[batch.tag](maps, style)))
        return {"back": total((picture.float() - x).abs().mean() for picture in both)}

    def critic_terms(self, batch: Batch, real: Batch) -> Terms:
        """What the critic lowers; `real` holds the batch's faces and more."""
        made = self._score(self.made, batch, batch.aim)[:, 0]
        back = self._score(self.back, batch, batch.value)[:, 1]
        with torch.autocast(batch.pixels.device.type, enabled=False):
            x = batch.pixels.clone().requires_grad_()
            seen = self._score(x, batch, batch.value)
            penalty = total(slope(seen[:, k], x).square().mean() for k in range(2))
        return {
            **self.warm_terms(real),
            "made": F.relu(1 + made).mean() + F.relu(1 + back).mean(),
            "penalty": penalty,
        }
