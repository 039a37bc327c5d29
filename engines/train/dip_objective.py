"""The losses of DIP-Watermark, Eq. 5 to 18, and the collaborative meta-optimisation of its Algorithm 1.

The paper names no units. UNITS are ours, found by trial: under them its weights 100 : 0.05 : 0.05 bring the plain
ensemble near its SSIM of 0.9 with more than 0.99 of the bits, on the small configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

UNITS = {"invisibility": 20.0, "watermark": 4000.0}  # a squared step of 8 bits; a nat a bit
Parameters = Mapping[str, Tensor]


@dataclass(frozen=True)
class Weights:
    """λ_adv, λ_inv (λ_en in the paper's text) and λ_wm of Eq. 18."""

    adversarial: float = 100.0
    invisibility: float = 0.05
    watermark: float = 0.05


@dataclass(frozen=True)
class Batch:
    """`pixels` (N, 3, S, S) in [0, 1], `bits` (N, L) of 0 or 1, `target` (N, K) one-hot."""

    pixels: Tensor
    bits: Tensor
    target: Tensor


@dataclass(frozen=True)
class Surrogate:
    """A recogniser that is attacked: `embed` gives unit rows (N, D); `targets` (K, D) are the targets' rows."""

    name: str
    embed: Callable[[Tensor], Tensor]
    targets: Tensor


@dataclass(frozen=True)
class Terms:
    """The three losses of Eq. 18, scalars with their graph, and what the log shows of them."""

    adversarial: Tensor
    invisibility: Tensor
    watermark: Tensor
    log: dict[str, Tensor]

    def total(self, weights: Weights) -> Tensor:
        """L_DIP of Eq. 18."""
        return (
            weights.adversarial * self.adversarial
            + weights.invisibility * self.invisibility
            + weights.watermark * self.watermark
        )


def invisibility(marked: Tensor, pixels: Tensor) -> Tensor:
    """L_inv of Eq. 5: the mean squared error on the scale 0 to 255, in its unit."""
    return UNITS["invisibility"] * F.mse_loss(255 * marked, 255 * pixels)


def adversarial(surrogate: Surrogate, marked: Tensor, target: Tensor) -> Tensor:
    """L_adv of Eq. 7: 1 - cos(F(x̂), F(x_t)), the mean over the batch."""
    return 1 - (surrogate.embed(marked) * (target @ surrogate.targets)).sum(1).mean()


def watermark(logits: Tensor, bits: Tensor) -> Tensor:
    """L_wm of Eq. 15 and 16: the mean binary cross-entropy of a bit, in its unit."""
    return UNITS["watermark"] * F.binary_cross_entropy_with_logits(logits, bits)


def bit_accuracy(logits: Tensor, bits: Tensor) -> Tensor:
    """Acc of Eq. 19: the share of bits that are read as they were written."""
    return ((logits > 0) == (bits > 0.5)).float().mean()


def direct(
    encoder: nn.Module,
    decoder: nn.Module,
    surrogates: Sequence[Surrogate],
    batch: Batch,
    pool: Callable[[Tensor], Tensor],
) -> Terms:
    """The plain ensemble (Table 5, "w/o Meta"): Eq. 5, 8 and 15 on every surrogate. With none, only a watermark."""
    marked = encoder(batch.pixels, batch.bits, batch.target)
    losses = [adversarial(surrogate, marked, batch.target) for surrogate in surrogates]
    logits = decoder(pool(marked))
    total = torch.stack(losses).sum() if losses else marked.new_zeros(())
    terms = invisibility(marked, batch.pixels), watermark(logits, batch.bits)
    return Terms(total, *terms, _log(total / max(1, len(losses)), *terms, logits, batch.bits))


def meta(
    encoder: nn.Module,
    decoder: nn.Module,
    training: Sequence[Surrogate],
    testing: Sequence[Surrogate],
    batch: Batch,
    pool: Callable[[Tensor], Tensor],
    rate: float,
) -> Terms:
    """Lines 3 to 14 of Algorithm 1: P = len(training), Q = len(testing); `rate` is η of Eq. 9.

    The gradient of Eq. 9 keeps its graph, so the update of φ sees through the temporary parameters θ^p
    (second order, as in MAML).
    """
    parameters = dict(encoder.named_parameters())
    marked = encoder(batch.pixels, batch.bits, batch.target)
    trained, tested, seen, mark = [], [], [], marked
    for surrogate in training:
        loss = adversarial(surrogate, marked, batch.target)  # Eq. 8
        temporary = step(loss, parameters, rate)
        mark = functional_call(encoder, dict(temporary), (batch.pixels, batch.bits, batch.target))  # Eq. 10
        tested += [adversarial(other, mark, batch.target) for other in testing]  # Eq. 11
        seen.append(invisibility(mark, batch.pixels))  # Eq. 12
        trained.append(loss)
    logits, last = decoder(pool(marked)), decoder(pool(mark))  # Eq. 15 and 16: the last temporary parameters
    hidden = (invisibility(marked, batch.pixels) + torch.stack(seen).mean()) / 2  # Eq. 13
    attack = torch.stack(trained).sum() + torch.stack(tested).sum()  # Eq. 14
    read = watermark(logits, batch.bits) + watermark(last, batch.bits)  # Eq. 17
    log = _log(torch.stack(trained).mean(), hidden, read / 2, logits, batch.bits)
    log["meta_test"] = torch.stack(tested).mean().detach()
    return Terms(attack, hidden, read, log)


def step(loss: Tensor, parameters: Parameters, rate: float) -> Parameters:
    """θ of Eq. 9: one gradient step of size `rate` from `parameters`, differentiable in them."""
    gradients = torch.autograd.grad(loss, list(parameters.values()), create_graph=True, allow_unused=True)
    moved = zip(parameters.items(), gradients, strict=True)
    return {name: value if grad is None else value - rate * grad for (name, value), grad in moved}


def _log(attack: Tensor, hidden: Tensor, read: Tensor, logits: Tensor, bits: Tensor) -> dict[str, Tensor]:
    """Per-unit figures: 1 - cos, the error in squared steps of 8 bits, nats a bit, bit accuracy."""
    found = {"adv": attack, "mse255": hidden / UNITS["invisibility"], "bce": read / UNITS["watermark"]}
    return {name: value.detach() for name, value in found.items()} | {"bits": bit_accuracy(logits.detach(), bits)}
