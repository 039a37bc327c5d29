"""The attribute classifier: a small residual network that says which of CelebA's forty attributes a face shows."""

from __future__ import annotations

from torch import Tensor, nn

_NAMES = (
    "5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose Black_Hair Blond_Hair "
    "Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee Gray_Hair Heavy_Makeup High_Cheekbones "
    "Male Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline "
    "Rosy_Cheeks Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick "
    "Wearing_Necklace Wearing_Necktie Young"
)
NAMES = tuple(_NAMES.split())


class AttributeNet(nn.Module):
    """Faces (N, 3, 128, 128) in [0, 1], aligned as CELEBA128 -> logits (N, 40) in the order of NAMES."""

    def __init__(self, channels: tuple[int, ...] = (32, 64, 96, 128), layers: tuple[int, ...] = (2, 2, 2, 1)):
        from timm.models.resnet import BasicBlock, ResNet  # brings torchvision along: a second and more at a start

        super().__init__()
        stem = {"stem_type": "deep", "stem_width": 16}
        self.net = ResNet(BasicBlock, layers, num_classes=len(NAMES), channels=channels, **stem)  # type: ignore

    def forward(self, pixels: Tensor) -> Tensor:
        return self.net(2 * pixels - 1)
