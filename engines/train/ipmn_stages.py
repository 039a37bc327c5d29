"""What each phase of IPMN's training lowers (Yang et al., Sec. 3.4)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from engines.nets.ipmn import Ipmn, random_matrix
from engines.nets.stealing import Thief
from engines.train import ipmn_losses as losses
from engines.train.forger_terms import Terms
from engines.train.half import half
from engines.train.ipmn_losses import Network, Weights
from engines.train.ipmn_recipe import Recipe
from engines.train.quantise import exported, rounded


@dataclass(frozen=True)
class Batch:
    """A step's x_p, x_m, x_r and w, each (N, 3, S, S) in [0, 1]; the two halves of `watermark` are the same.

    With HiDDeN `watermark` is bits (N, L).
    """

    protected: Tensor
    mask: Tensor
    replacing: Tensor
    watermark: Tensor

    @property
    def first(self) -> Batch:
        """The first half."""
        half = len(self.mask) // 2
        return Batch(self.protected[:half], self.mask[:half], self.replacing[:half], self.watermark[:half])


@dataclass(frozen=True)
class Service:
    """What the service gives and the receiver restores, as files keep it: x_wmf, x'_p and x'_wm."""

    masked: Tensor
    protected: Tensor
    marked: Tensor


class Stages:
    """The phases; a training of them says how a network is updated."""

    recipe: Recipe
    net: Ipmn
    critic: nn.Module
    thieves: nn.ModuleList
    stolen: Tensor
    features: Network
    device: str
    done: int

    def _update(self, which: int, terms: Terms) -> None:
        """Lower the sum of the terms: 0 moves what the phase trains, 1 the discriminator."""
        raise NotImplementedError

    def _carrier(self, batch: Batch) -> Tensor:
        """x_wm, or x_m where there is no watermark."""
        return self.net.marked(batch.mask, batch.watermark) if self.recipe.mark else batch.mask

    def _initial(self, batch: Batch) -> Terms:
        """Eq. 10: H and R, or HiDDeN's two networks, together, then D."""
        recipe, marked = self.recipe, self.net.marked(batch.mask, batch.watermark)
        weights = replace(recipe.weights, wemd=recipe.weights.wemd * recipe.embedding_at(self.done))
        self.critic.requires_grad_(False)
        terms = (self._hidden_terms if recipe.hidden else self._initial_terms)(batch, marked, weights)
        self.critic.requires_grad_(True)
        self._update(0, terms)
        judged = {"d": losses.told_apart(self.critic(batch.mask), self.critic(marked.detach()))}
        self._update(1, judged)
        return terms | judged

    def _initial_terms(self, batch: Batch, marked: Tensor, weights: Weights) -> Terms:
        recipe, mask = self.recipe, batch.mask
        terms = losses.embedding(marked, mask, self.features, self.critic, weights)
        seen = exported(marked) + recipe.noise * torch.randn_like(marked)
        unmarked = rounded(mask) + recipe.noise * torch.randn_like(mask)
        found = self.net.extract(torch.cat([seen, unmarked]))
        return terms | losses.extracting(found[: len(mask)], batch.watermark, found[len(mask) :], weights)

    def _hidden_terms(self, batch: Batch, marked: Tensor, weights: Weights) -> Terms:
        found = self.net.extract(exported(marked))
        return losses.hidden(marked, batch.mask, found, batch.watermark, self.critic, weights)

    def _reversible(self, batch: Batch) -> Terms:
        """Eq. 19, through the 8-bit file and with a random matrix in place of the lost one."""
        with torch.no_grad():
            carrier = self._carrier(batch)
        with half(self.device, self.recipe.half):
            masked, _ = self.net.put_on(batch.protected, carrier)
            recovered = self.net.take_off(exported(masked), random_matrix(masked, spread=self.recipe.spread))
        terms = losses.protecting(batch.protected, carrier, masked, recovered, self.recipe.weights)
        self._update(0, terms)
        return terms

    @torch.no_grad()
    def answered(self, net: Ipmn, batch: Batch) -> Tensor:
        """x_wmf of a batch, in float32 but for H: all that a thief sees."""
        carrier = net.marked(batch.mask, batch.watermark) if self.recipe.mark else batch.mask
        with torch.autocast(self.device.split(":")[0], enabled=False):
            return rounded(net.put_on(batch.protected, carrier)[0])

    @torch.no_grad()
    def service(self, net: Ipmn, batch: Batch) -> Service:
        """What a network makes of a batch, and restores of it."""
        masked = self.answered(net, batch)
        with torch.autocast(self.device.split(":")[0], enabled=False):
            restored = net.take_off(masked, random_matrix(masked, spread=self.recipe.spread))
        return Service(masked, *(rounded(picture) for picture in restored))

    def robbed(self, count: int) -> tuple[Thief, Tensor]:
        """The thief whose turn it is, and the watermark of the service that it learns from, `count` times."""
        turn = self.done % len(self.thieves)
        return self.thieves[turn], self.stolen[turn].expand(count, *self.stolen.shape[1:])  # type: ignore[return-value]

    def _steal(self, batch: Batch) -> Terms:
        """Eq. 9 by ℓ2: a thief learns what the service with its watermark answers."""
        thief, watermark = self.robbed(len(batch.mask))
        theirs = replace(batch, watermark=watermark)
        answered = self.answered(self.net, theirs)
        terms = {"steal": losses.l2(thief(batch.protected, batch.replacing), answered)}
        self._update(0, terms)
        return terms

    def _enhance(self, batch: Batch) -> Terms:
        """Eq. 23: R alone. In Eq. 26 x'_wm goes with x_wmf, and each x_sm with another of the same thief."""
        thief, watermark = self.robbed(len(batch.mask))
        served = self.service(self.net, batch)
        with torch.no_grad():
            simulated = rounded(thief(batch.protected, batch.replacing))
        pictures = (served.marked, simulated, served.masked, batch.mask, batch.protected, served.protected)
        back, stolen, sent, *unmarked = self.net.extract(torch.cat(pictures)).chunk(len(pictures))
        watermarks = (batch.watermark, watermark, batch.watermark)
        alike = ((back, sent), (stolen, stolen.roll(1, 0)))
        terms = losses.enhanced((back, stolen, sent), watermarks, unmarked, alike, self.recipe.weights)
        self._update(0, terms)
        return terms
