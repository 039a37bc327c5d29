"""What each stage of ErasableMask's curriculum lowers (Shen et al., Eq. 14 to 16), for networks and critic."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engines.manipulate import signed, unsigned
from engines.nets.erasable_mask import ATTRIBUTES, Clean, ErasableMask
from engines.train import erasable_losses as losses
from engines.train.erasable_losses import Attack, Scene
from engines.train.erasable_recipe import Recipe
from engines.train.forger_terms import slope
from engines.train.teacher import lesson
from engines.train.victims import Victim, off, pool


@dataclass(frozen=True)
class Batch:
    """A step's faces in [-1, 1] with their attributes, what is asked, β and γ, and a seed of what happens to them."""

    pixels: Tensor
    attributes: Tensor
    wanted: Tensor
    mix: tuple[float, float]
    seed: int


class Stages:
    """The three stages; a training of them says how a network is updated."""

    recipe: Recipe
    net: ErasableMask
    critic: nn.Module
    teacher: nn.Module | None
    against: list[Victim]
    device: str
    done: int
    epochs: Tensor
    sums: Tensor
    counts: Tensor

    def _update(self, which: int, terms: dict[str, Tensor]) -> None:
        """Lower the sum of the terms: 0 moves what the stage trains, 1 the critic."""
        raise NotImplementedError

    def _edit(self, batch: Batch) -> dict[str, Tensor]:
        """Eq. 14; the first steps only give the face back, while the critic learns what attributes look like."""
        found, weights = self.net.generator.encoder(batch.pixels), self.recipe.weights
        own, made = (self.net.generator.decoder(found, labels)[-1] for labels in (batch.attributes, batch.wanted))
        edited = batch.pixels + made.float()
        terms = {"rec": weights.reconstruction * own.float().abs().mean()}
        warm = self.done < self.recipe.warm
        if not warm:
            terms |= self._seen(edited, batch.wanted)
        self._update(0, terms)
        return terms | self._judge(batch, None if warm else edited.detach())

    def _seen(self, made: Tensor, wanted: Tensor) -> dict[str, Tensor]:
        """L_G and L_att of a picture, weighted, and a teacher's cross-entropy; the critic itself does not move."""
        self.critic.requires_grad_(False)
        real, attributes = self.critic(made)
        self.critic.requires_grad_(True)
        weights = self.recipe.weights
        terms = {
            "real": weights.generator * losses.fooled(real),
            "att": weights.attributes * losses.shown(attributes, wanted),
        }
        if self.teacher is not None:
            terms["taught"] = self.recipe.taught * lesson(self.teacher, made, wanted, ATTRIBUTES)
        return terms

    def _judge(self, batch: Batch, made: Tensor | None) -> dict[str, Tensor]:
        """Eq. 3 and 4 of the critic, with a penalty on its slope at real faces, which the paper does not have."""
        real, attributes = self.critic(batch.pixels)
        terms = {"d att": self.recipe.weights.attributes * losses.shown(attributes, batch.attributes)}
        if made is not None:
            terms["d real"] = losses.told_apart(real, self.critic(made)[0])
            with torch.autocast(self.device.split(":")[0], enabled=False):
                pixels = batch.pixels.clone().requires_grad_()
                terms["d slope"] = 5 * slope(self.critic(pixels)[0].mean((1, 2, 3)), pixels).square().mean()
        self._update(1, terms)
        return terms

    def _scene(self, batch: Batch) -> Scene:
        where = off(torch.Generator().manual_seed(batch.seed), self.recipe.size)
        return Scene(self.against, where, lambda pixels: pool(pixels, batch.seed))

    def _attack(self, batch: Batch) -> dict[str, Tensor]:
        """Eq. 15 without L_rec, which nothing that moves in this stage can change."""
        recipe, weights = self.recipe, self.recipe.weights
        with torch.no_grad():
            clean = self.net.clean(batch.pixels, batch.wanted)
        attack = self._adversarial(clean, batch)
        self._count(attack)
        received = signed(pool(unsigned(attack.masked), batch.seed))
        terms = self._seen(attack.masked, batch.wanted) | {
            "adv": weights.adversarial * attack.loss,
            "era": weights.erasion * losses.remains(self.net.erased(received), batch.pixels),
            "perb": weights.perturbation * losses.beyond(attack.masked, clean.edited),
        }
        self._update(0, terms)
        missed = {f"miss {self.against[i].name}": loss for i, loss in attack.losses.items()} if recipe.meta else {}
        return terms | missed | self._judge(batch, attack.masked.detach())

    def _adversarial(self, clean: Clean, batch: Batch) -> Attack:
        recipe, scene = self.recipe, self._scene(batch)
        if not recipe.meta:
            return losses.ensemble(self.net, clean, batch.mix, scene, recipe.floor)
        turn = [(self.done + k) % len(self.against) for k in range(recipe.primaries)]
        weights = losses.balance(*self.epochs)
        return losses.meta_auxiliary(self.net, clean, batch.mix, scene, turn, weights, recipe.inner, recipe.floor)

    def _count(self, attack: Attack) -> None:
        """Gather the means that Eq. 11 compares, and turn the page after each epoch."""
        for i, loss in attack.losses.items():
            self.sums[i] += loss.cpu()
            self.counts[i] += 1
        if (self.done - self.recipe.edit + 1) % self.recipe.epoch == 0:
            self.epochs = torch.stack([self.sums / self.counts.clamp_min(1), self.epochs[0]])
            self.sums, self.counts = torch.zeros_like(self.sums), torch.zeros_like(self.counts)

    def _erase(self, batch: Batch) -> dict[str, Tensor]:
        """Eq. 16, and beside it the surrogates' recall where the recipe weighs it."""
        with torch.no_grad():
            masked = self.net(self.net.clean(batch.pixels, batch.wanted), *batch.mix)
            received = signed(pool(unsigned(masked), batch.seed))
        erased = self.net.erased(received)
        terms = {"era": self.recipe.weights.erasion * losses.remains(erased, batch.pixels)}
        if self.recipe.recall:
            where, faces = self._scene(batch).where, (unsigned(erased), unsigned(batch.pixels))
            terms["recall"] = self.recipe.recall * losses.forgotten(self.against, *faces, where)
        self._update(0, terms)
        return terms
