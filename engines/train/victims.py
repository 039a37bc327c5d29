"""The recognisers that a training attacks, as faces cut in CelebA's way reach them, and the way there.

Meta-learning differentiates twice. PyTorch cannot do that through `grid_sample`, so the cut from one template to
another is written here as a sum of four gathered neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from engines import distort, recognise
from engines.face import CELEBA128, Template, compose, similarity
from engines.method import check_surrogates
from engines.recognise import Recogniser
from engines.train.noise_pool import QUALITY, SHIFT, TURN, VARIANCE, ZOOM

QUARTER = 0.25  # ErasableMask's resizing


@dataclass(frozen=True)
class Victim:
    """`embed` gives unit rows (N, D) of faces (N, 3, S, S) in [0, 1]; `target` (D,) is whom they shall become.

    The second argument of `embed` is where a detector cuts, (2, 3) in the crop's pixels: the identity, or near it.
    """

    name: str
    embed: Callable[[Tensor, Tensor], Tensor]
    target: Tensor


def resampled(pixels: Tensor, to_source: Tensor, size: int) -> Tensor:
    """(N, C, H, W) read at `to_source` (2, 3) of every pixel of a square, bilinear: (N, C, size, size).

    The same as `engines.face.sample` with its border, but differentiable as often as one likes.
    """
    height, width = pixels.shape[-2:]
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    points = torch.stack([x, y], -1).float() @ to_source[:, :2].T + to_source[:, 2]
    low = points.floor()
    share, found = points - low, pixels.new_zeros(())
    for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        column = (low[..., 0] + dx).clamp(0, width - 1).long()
        row = (low[..., 1] + dy).clamp(0, height - 1).long()
        weight = (share[..., 0] if dx else 1 - share[..., 0]) * (share[..., 1] if dy else 1 - share[..., 1])
        near = pixels.flatten(2)[..., (row * width + column).flatten().to(pixels.device)]
        found = found + near.view(*pixels.shape[:2], size, size) * weight.to(pixels)
    return found


def still() -> Tensor:
    """A detector that is not off at all: (2, 3)."""
    return torch.tensor([[1.0, 0, 0], [0, 1, 0]])


def off(generator: torch.Generator, size: int) -> Tensor:
    """How another detection would cut a crop of `size`: turned, scaled, moved a little about its middle, (2, 3)."""
    turn, zoom, dx, dy = torch.randn(4, generator=generator).clamp(-2.5, 2.5)
    scale, angle, middle = 1 + ZOOM * zoom, TURN * turn, (size - 1) / 2
    matrix = scale * torch.stack([torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])])
    shift = middle - matrix @ torch.full((2,), middle) + SHIFT * size / 128 * torch.stack([dx, dy])
    return torch.cat([matrix, shift[:, None]], 1)


def victim(network: Recogniser, target: Tensor, template: Template, crop: Template = CELEBA128) -> Victim:
    """A recogniser of faces cut by `crop`, and a target's face (1, 3, S, S) cut by `template`.

    Refused where it is a judge or untrained.
    """
    check_surrogates([network])
    to_crop = similarity(network.template.tensor(), crop.tensor())

    def embed(pixels: Tensor, where: Tensor) -> Tensor:
        cut = resampled(pixels, compose(where, to_crop), network.template.size)
        return F.normalize(network.raw(cut).float(), dim=1)

    with torch.no_grad():
        own = similarity(network.template.tensor(), template.tensor())
        row = network.raw(resampled(target, own, network.template.size)).float()
    return Victim(network.card.id, embed, F.normalize(row, dim=1)[0])


def victims(
    ids: Sequence[str], target: Tensor, template: Template, crop: Template = CELEBA128, device: str = "cpu"
) -> list[Victim]:
    """The bundled recognisers of these ids; see `victim`. Raises CheckpointError and MethodError."""
    return [victim(recognise.load(id, device), target.to(device), template, crop) for id in ids]


def pool(pixels: Tensor, seed: int) -> Tensor:
    """ErasableMask's noise pool (Sec. IV-D): (N, 3, S, S) in [0, 1] after nothing, JPEG 50, noise or resizing to 1/4.

    The same seed draws the same; differentiable twice.
    """
    generator = torch.Generator().manual_seed(seed)
    kind = int(torch.randint(4, (), generator=generator))
    if kind == 1:
        return distort.jpeg(pixels, QUALITY)
    if kind == 2:
        return (pixels + VARIANCE**0.5 * torch.randn(pixels.shape, generator=generator).to(pixels)).clamp(0, 1)
    return distort.resize(pixels, QUARTER) if kind == 3 else pixels
