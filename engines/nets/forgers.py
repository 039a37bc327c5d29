"""Forgers by name: a generator of the right sizes, read off the tensors of a release or of our own training."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from torch import Tensor, nn

from engines.nets.hisd import Hisd, Sizes
from engines.nets.relgan import RelGan
from engines.nets.stargan import AttentionGan, FixedPointGan, StarGan
from engines.tensors import fill, misfit

State = Mapping[str, Tensor]
LEFT_OUT = re.compile(r"main\..*(running_mean|running_var|num_batches_tracked)")
"""Of a StarGAN, AttentionGAN or Fixed-Point GAN: statistics that InstanceNorm kept in training and never used."""


def _count(state: State, pattern: str) -> int:
    """How many numbers stand where `pattern` has its group."""
    return len({found[1] for name in state if (found := re.fullmatch(pattern, name))})


def _star(kind: type[StarGan]) -> Callable[[State], StarGan]:
    def build(state: State) -> StarGan:
        width, inputs = state["main.0.weight"].shape[:2]
        return kind(inputs - 3, width, _count(state, r"main\.(\d+)\.main\.0\.weight"))

    return build


def _rel(state: State) -> RelGan:
    width, inputs = state["conv_in.0.weight"].shape[:2]
    return RelGan(inputs - 3, width, _count(state, r"resb\.(\d+)\.f\.0\.weight"))


def _hisd(state: State) -> Hisd:
    def widths(first: str, block: str) -> tuple[int, ...]:
        found = [state[f"{block.format(k)}"].shape[0] for k in range(1, 99) if block.format(k) in state]
        return (state[first].shape[0], *found)

    tags = _count(state, r"mappers\.(\d+)\.pre_model\.0\.weight")
    mapper, noise = state["mappers.0.pre_model.0.weight"].shape
    return Hisd(
        Sizes(
            coder=widths("encoder.0.weight", "encoder.{}.conv2.weight"),
            translator=widths("translators.0.model.0.weight", "translators.0.model.{}.conv2.weight"),
            critic=widths("extractors.model.0.weight", "extractors.model.{}.conv2.weight"),
            mapper=mapper,
            style=state["translators.0.style_to_params.weight"].shape[1],
            noise=noise,
            values=tuple(_count(state, rf"mappers\.{k}\.post_models\.(\d+)\.2\.weight") for k in range(tags)),
        )
    )


BUILDERS: dict[str, Callable[[State], nn.Module]] = {
    "stargan": _star(StarGan),
    "attentiongan": _star(AttentionGan),
    "fpgan": _star(FixedPointGan),
    "relgan": _rel,
    "hisd": _hisd,
}


def from_state(network: str, state: State) -> nn.Module:
    """The generator that the tensors are of; CheckpointError where they are of another network."""
    kept = {name: value for name, value in state.items() if network == "hisd" or not LEFT_OUT.fullmatch(name)}
    try:
        net = BUILDERS[network](kept)
    except (LookupError, RuntimeError, ValueError, TypeError):
        raise misfit(f"it is no {network}") from None
    fill(net, kept)
    return net
