"""IPMN's losses (Yang et al., Sec. 3.4, Eq. 10 to 26).

Pixels and watermarks are (N, 3, S, S) in [0, 1]. Each ‖·‖₂ is read as the mean square over pictures and values, as in
HiNet and in the model watermark of Zhang et al. (AAAI 2020), which the paper builds on, so that it means the same at
any size. The paper publishes no λ: those here are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from engines.train.forger_terms import Terms, total

Network = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Weights:
    """λ by the names of the equations; those of Eq. 23 are those of Eq. 15."""

    wemd: float = 1.0
    wext: float = 1.0
    bs: float = 40.0
    vgg: float = 0.01
    adv: float = 0.0005
    wm: float = 1.0
    colour: float = 5.0
    clean: float = 1.0
    cst: float = 0.2
    stolen: float = 0.1  # of x_sm in Eq. 24
    recover: float = 1.0  # λ1 of Eq. 19
    guide: float = 1.0  # λ2
    id: float = 3.0  # λ3


def l2(one: Tensor, two: Tensor) -> Tensor:
    """‖one - two‖₂ as it is read here: the mean square."""
    return (one.float() - two.float()).square().mean()


def basic(marked: Tensor, mask: Tensor) -> Tensor:
    """ℓ_bs, Eq. 12."""
    return l2(marked, mask)


def perceptual(marked: Tensor, mask: Tensor, features: Network) -> Tensor:
    """ℓ_vgg, Eq. 13; `features` is VGG_k."""
    with torch.no_grad():
        expected = features(mask)
    return l2(features(marked), expected)


def told_apart(real: Tensor, made: Tensor) -> Tensor:
    """What D lowers, Eq. 14 with its sign turned: -log D(x_m) - log(1 - D(x_wm)), from logits."""
    return F.softplus(-real.float()).mean() + F.softplus(made.float()).mean()


def adversarial(made: Tensor) -> Tensor:
    """What H lowers of Eq. 14, in the form that keeps its slope: -log D(x_wm), from logits."""
    return F.softplus(-made.float()).mean()


def embedding(marked: Tensor, mask: Tensor, features: Network, critic: Network, weights: Weights) -> Terms:
    """ℓ_wemd, Eq. 11, its terms weighted."""
    return {
        "bs": weights.wemd * weights.bs * basic(marked, mask),
        "vgg": weights.wemd * weights.vgg * perceptual(marked, mask, features),
        "adv": weights.wemd * weights.adv * adversarial(critic(marked)),
    }


def reconstruction(found: Tensor, watermark: Tensor, colour: float = 1.0) -> Tensor:
    """ℓ_wm, Eq. 16; `found` is R(x_wm).

    Ours: what sets a pixel's channels apart counts `colour` times. Counted once, R read hardly any colour after 4,000
    steps (NC 0.94 on people never seen); five times, with purer colours drawn, NC was 0.97 after 800.
    """
    missed = found.float() - watermark.float()
    apart = missed - missed.mean(1, keepdim=True)
    return missed.square().mean() + (colour - 1) * apart.square().mean()


def clean(found: Tensor) -> Tensor:
    """ℓ_clean, Eq. 17; `found` is R(x_m), and x_clean is black."""
    return l2(found, torch.zeros_like(found))


def consistent(one: Tensor, two: Tensor) -> Tensor:
    """ℓ_cst, Eq. 18: R of two pictures that carry the same watermark."""
    return l2(one, two)


def extracting(found: Tensor, watermark: Tensor, unmarked: Tensor, weights: Weights) -> Terms:
    """ℓ_wext, Eq. 15, its terms weighted; the two halves of `found` carry the same watermarks."""
    one, two = found.chunk(2)
    return {
        "wm": weights.wext * weights.wm * reconstruction(found, watermark, weights.colour),
        "clean": weights.wext * weights.clean * clean(unmarked),
        "cst": weights.wext * weights.cst * consistent(one, two),
    }


def hidden(marked: Tensor, mask: Tensor, found: Tensor, bits: Tensor, critic: Network, weights: Weights) -> Terms:
    """What HiDDeN lowers in place of Eq. 10 (Zhu et al., Sec. 3), weighted: picture, critic and message.

    `found` and `bits` are (N, L). Of unmarked masks it asks nothing, nor that features be alike.
    """
    return {
        "bs": weights.wemd * weights.bs * basic(marked, mask),
        "adv": weights.wemd * weights.adv * adversarial(critic(marked)),
        "wm": weights.wext * weights.wm * l2(found, bits),
    }


def initial(embedded: Terms, read: Terms) -> Tensor:
    """ℓ_IP, Eq. 10, from the weighted terms of `embedding` and `extracting`."""
    return total([*embedded.values(), *read.values()])


def recovery(protected: Tensor, recovered: Tensor) -> Tensor:
    """ℓ_recover, Eq. 20: x_p and x'_p."""
    return l2(protected, recovered)


def guide(marked: Tensor, recovered: Tensor) -> Tensor:
    """ℓ_guide, Eq. 21: x_wm and x'_wm."""
    return l2(marked, recovered)


def distortion(marked: Tensor, masked: Tensor) -> Tensor:
    """ℓ_id, Eq. 22: x_wm and x_wmf."""
    return l2(marked, masked)


def protecting(
    protected: Tensor, marked: Tensor, masked: Tensor, recovered: tuple[Tensor, Tensor], weights: Weights
) -> Terms:
    """ℓ_fp, Eq. 19, its terms weighted; `recovered` is (x'_p, x'_wm)."""
    return {
        "recover": weights.recover * recovery(protected, recovered[0]),
        "guide": weights.guide * guide(marked, recovered[1]),
        "id": weights.id * distortion(marked, masked),
    }


def enhanced_reconstruction(
    found: Sequence[Tensor], watermarks: Sequence[Tensor], colour: float = 1.0, stolen: float = 1.0
) -> Tensor:
    """ℓ'_wm, Eq. 24: R of x'_wm, x_sm and x_wmf, each with the watermark that it carries; x_sm counts `stolen` times.

    Ours: counted once, x_sm of a thief that had learned for 150 steps cost R what it knew (SR_E of x_wmf 0.94 to
    0.85 on 48 faces).
    """
    each = (reconstruction(one, w, colour) for one, w in zip(found, watermarks, strict=True))
    return total(weight * one for weight, one in zip((1.0, stolen, 1.0), each, strict=True))


def enhanced_clean(unmarked: Sequence[Tensor]) -> Tensor:
    """ℓ'_clean, Eq. 25: R of x_m, x_p and x'_p."""
    return total(clean(one) for one in unmarked)


def enhanced_consistent(pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """ℓ'_cst, Eq. 26: the mean over pairs out of the mixed data set, each of which carries one watermark."""
    return total(consistent(one, two) for one, two in pairs) / len(pairs)


def enhanced(
    found: Sequence[Tensor],
    watermarks: Sequence[Tensor],
    unmarked: Sequence[Tensor],
    pairs: Sequence[tuple[Tensor, Tensor]],
    weights: Weights,
) -> Terms:
    """ℓ'_wext, Eq. 23, its terms weighted."""
    return {
        "wm": weights.wm * enhanced_reconstruction(found, watermarks, weights.colour, weights.stolen),
        "clean": weights.clean * enhanced_clean(unmarked),
        "cst": weights.cst * enhanced_consistent(pairs),
    }
