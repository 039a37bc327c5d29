"""How every network name of the registry becomes a module: its builder, its crop, its input's scale."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from engines.face import ARCFACE112, ARCFACE_POINTS, DLIB150, Template, ffhq
from engines.nets import arcface_pool, compact, dlib_resnet, iresnet, mobilefacenet, sface
from engines.tensors import fill

# FaceNet's 160 pixels: the ArcFace crop enlarged, as the papers feed it.
FACENET160 = Template("facenet160", 160, tuple((x * 160 / 112, y * 160 / 112) for x, y in ARCFACE_POINTS))


@dataclass(frozen=True)
class Architecture:
    """How a network is built and fed: pixels in [0, 1] times `scale` plus `offset`. Grad-CAM reads `features`."""

    build: Callable[[dict[str, Tensor]], nn.Module]
    template: Template
    features: Callable[[nn.Module], nn.Module]
    scale: float = 255.0
    offset: float = 0.0


class TokenMaps(nn.Module):
    """Passes a transformer's tokens on, showing its patch tokens as maps (N, C, side, side) to whoever listens."""

    def __init__(self, prefix: int, side: int):
        super().__init__()
        self.prefix, self.side, self.maps = prefix, side, nn.Identity()

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, prefix + side², C) -> the same."""
        patches = tokens[:, self.prefix :]
        maps = self.maps(patches.transpose(1, 2).reshape(len(tokens), -1, self.side, self.side))
        return torch.cat([tokens[:, : self.prefix], maps.flatten(2).transpose(1, 2)], 1)


def vit(name: str, **options: Any) -> Callable[[dict[str, Tensor]], nn.Module]:
    """A builder of a timm vision transformer on 112x112 pixels in patches of 8 -> 512 numbers."""

    def build(state: dict[str, Tensor]) -> nn.Module:
        import timm  # a second to import: only for the networks that need it

        net: Any = timm.create_model(name, img_size=112, patch_size=8, num_classes=512, **options)
        fill(net, state)
        # Before the last block: behind it the patches have no way to the class token.
        net.blocks[-1] = nn.Sequential(TokenMaps(net.num_prefix_tokens, 112 // 8), net.blocks[-1])
        return net

    return build


def facenet(state: dict[str, Tensor]) -> nn.Module:
    """FaceNet's InceptionResnetV1, without its classifier of training identities."""
    from facenet_pytorch import InceptionResnetV1

    net = InceptionResnetV1(classify=False)
    fill(net, {name: value for name, value in state.items() if not name.startswith("logits.")})
    return net


def _last_unit(net: Any) -> nn.Module:
    return net.body[-1] if isinstance(net, iresnet.IRNet) else net.layer4


def _token_maps(net: Any) -> nn.Module:
    return net.blocks[-1][0].maps


SIGNED = {"scale": 2.0, "offset": -1.0}  # [0, 1] -> [-1, 1]
# The deepest layer whose maps still show something of a face: 7x7 or 8x8, not 4x4 or 2x2.
ARCHITECTURES = {
    "sface": Architecture(sface.from_state, ARCFACE112, lambda net: net.get_submodule("prelus.26")),
    "dlib-resnet": Architecture(dlib_resnet.from_state, DLIB150, lambda net: net.get_submodule("blocks.9")),
    **{
        name: Architecture(
            lambda state, name=name: compact.from_state(name, state),  # type: ignore[misc]
            ARCFACE112,
            lambda net, layer=family.layer: net.get_submodule(layer),  # type: ignore[misc]
            scale=1.0,
        )
        for name, family in compact.FAMILIES.items()
    },
    "facenet": Architecture(
        facenet, FACENET160, lambda net: net.get_submodule("repeat_2"), scale=255 / 128, offset=-127.5 / 128
    ),
    "iresnet": Architecture(iresnet.from_state, ARCFACE112, _last_unit, **SIGNED),
    "arcface-pool": Architecture(arcface_pool.from_state, ffhq(112), _last_unit, scale=1.0),
    "mobilefacenet": Architecture(
        mobilefacenet.from_state, ARCFACE112, lambda net: net.get_submodule("conv_5"), **SIGNED
    ),
    "vit-tiny-8": Architecture(vit("vit_tiny_patch16_224"), ARCFACE112, _token_maps, **SIGNED),
    "vit-small-8-gap": Architecture(
        vit("vit_small_patch16_224", class_token=False, global_pool="avg"), ARCFACE112, _token_maps, **SIGNED
    ),
}
