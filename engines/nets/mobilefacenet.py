"""MobileFaceNet (Chen et al., 2018) in three state-dict layouts: InsightFace_Pytorch's, and those of the teachers.

All: a 3x3 convolution, a depthwise layer, 15 inverted residual bottlenecks (Table 1 of the
paper), a 1x1 convolution to 512 maps, a global depthwise convolution and a linear layer.
"""

from __future__ import annotations

from torch import Tensor, nn

from engines.tensors import fill

# (expansion, channels, repeats, first stride): Table 1 of the paper.
BOTTLENECKS = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))


def conv_bn(i: int, o: int, k: int, s: int, p: int, groups: int = 1, act: nn.Module | None = None) -> nn.Sequential:
    """Convolution without bias, BatchNorm and, where given, an activation."""
    layers: list[nn.Module] = [nn.Conv2d(i, o, k, s, p, groups=groups, bias=False), nn.BatchNorm2d(o)]
    return nn.Sequential(*layers, *([act] if act else []))


def _plan() -> list[tuple[int, int, int, int]]:
    """(channels in, hidden, channels out, stride) of each bottleneck."""
    rows, width = [], 64
    for expansion, channels, repeats, stride in BOTTLENECKS:
        for i in range(repeats):
            rows.append((width, width * expansion, channels, stride if i == 0 else 1))
            width = channels
    return rows


class _Named(nn.Module):
    """A convolution block whose parts are called conv, bn and prelu."""

    def __init__(self, i: int, o: int, kernel: int | tuple[int, int], stride: int = 1, groups: int = 1):
        """A 3x3 kernel is padded, any other is not."""
        super().__init__()
        self.conv = nn.Conv2d(i, o, kernel, stride, 1 if kernel == 3 else 0, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(o)
        self.prelu: nn.Module = nn.PReLU(o)

    def forward(self, x: Tensor) -> Tensor:
        return self.prelu(self.bn(self.conv(x)))


class _Bottleneck(nn.Module):
    """1x1 expansion, 3x3 depthwise, 1x1 projection; the input is added where the shapes agree."""

    def __init__(self, i: int, hidden: int, o: int, stride: int, conv: nn.Sequential):
        super().__init__()
        self.conv, self.residual = conv, stride == 1 and i == o

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.residual else self.conv(x)


class MobileFaceNetPReLU(nn.Module):
    """With PReLU and a 7x6 global layer: (N, 3, 112, 96), (x - 127.5) / 128 -> rows (N, 128)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _Named(3, 64, 3, 2)
        self.dw_conv1 = _Named(64, 64, 3, groups=64)
        self.blocks = nn.Sequential(*(self._block(*row) for row in _plan()))
        self.conv2 = _Named(128, 512, 1)
        self.linear7 = _Named(512, 512, (7, 6), groups=512)
        self.linear1 = _Named(512, 128, 1)
        self.linear7.prelu = self.linear1.prelu = nn.Identity()  # these two are linear

    @staticmethod
    def _block(i: int, h: int, o: int, s: int) -> _Bottleneck:
        wide = [nn.Conv2d(i, h, 1, bias=False), nn.BatchNorm2d(h), nn.PReLU(h)]
        deep = [nn.Conv2d(h, h, 3, s, 1, groups=h, bias=False), nn.BatchNorm2d(h), nn.PReLU(h)]
        return _Bottleneck(i, h, o, s, nn.Sequential(*wide, *deep, nn.Conv2d(h, o, 1, bias=False), nn.BatchNorm2d(o)))

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2(self.blocks(self.dw_conv1(self.conv1(x))))
        return self.linear1(self.linear7(x)).flatten(1)


class _Separable(nn.Module):
    """A depthwise and a pointwise convolution, each with BatchNorm and ReLU."""

    def __init__(self, channels: int):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, 1, 1, groups=channels, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn2(self.pointwise(self.bn1(self.depthwise(x)).relu())).relu()


class _GlobalDepthwise(nn.Module):
    """The global depthwise convolution: one 7x7 filter a channel."""

    def __init__(self, channels: int, size: int):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, size, groups=channels, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.depthwise(x))


class MobileFaceNetReLU6(nn.Module):
    """With ReLU6 and a BatchNorm1d at the end: (N, 3, 112, 112), ImageNet-normalised -> rows (N, 128)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = conv_bn(3, 64, 3, 2, 1, act=nn.ReLU6())
        self.dw_conv = _Separable(64)
        self.features = nn.Sequential(*(self._block(*row) for row in _plan()))
        self.conv2 = conv_bn(128, 512, 1, 1, 0, act=nn.ReLU6())
        self.gdconv = _GlobalDepthwise(512, 7)
        self.conv3 = nn.Conv2d(512, 128, 1)
        self.bn = nn.BatchNorm1d(128)

    @staticmethod
    def _block(i: int, h: int, o: int, s: int) -> _Bottleneck:
        wide, deep = conv_bn(i, h, 1, 1, 0, act=nn.ReLU6()), conv_bn(h, h, 3, s, 1, groups=h, act=nn.ReLU6())
        return _Bottleneck(i, h, o, s, nn.Sequential(wide, deep, nn.Conv2d(h, o, 1, bias=False), nn.BatchNorm2d(o)))

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2(self.features(self.dw_conv(self.conv1(x))))
        return self.bn(self.conv3(self.gdconv(x)).flatten(1))


class _DepthWise(nn.Module):
    """InsightFace_Pytorch's bottleneck: parts called conv, conv_dw and project."""

    def __init__(self, i: int, hidden: int, o: int, stride: int):
        super().__init__()
        self.conv, self.conv_dw = _Named(i, hidden, 1), _Named(hidden, hidden, 3, stride, hidden)
        self.project = _Named(hidden, o, 1)
        self.project.prelu = nn.Identity()
        self.residual = stride == 1 and i == o

    def forward(self, x: Tensor) -> Tensor:
        out = self.project(self.conv_dw(self.conv(x)))
        return x + out if self.residual else out


class _Repeat(nn.Module):
    """Bottlenecks in a Sequential called model."""

    def __init__(self, channels: int, hidden: int, count: int):
        super().__init__()
        self.model = nn.Sequential(*(_DepthWise(channels, hidden, channels, 1) for _ in range(count)))

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class MobileFaceNet(nn.Module):
    """InsightFace_Pytorch's layout: (N, 3, 112, 112) in [-1, 1] -> rows (N, D)."""

    def __init__(self, dimension: int = 512):
        super().__init__()
        self.conv1, self.conv2_dw = _Named(3, 64, 3, 2), _Named(64, 64, 3, groups=64)
        self.conv_23, self.conv_3 = _DepthWise(64, 128, 64, 2), _Repeat(64, 128, 4)
        self.conv_34, self.conv_4 = _DepthWise(64, 256, 128, 2), _Repeat(128, 256, 6)
        self.conv_45, self.conv_5 = _DepthWise(128, 512, 128, 2), _Repeat(128, 256, 2)
        self.conv_6_sep, self.conv_6_dw = _Named(128, 512, 1), _Named(512, 512, 7, groups=512)
        self.conv_6_dw.prelu = nn.Identity()
        self.linear, self.bn = nn.Linear(512, dimension, bias=False), nn.BatchNorm1d(dimension)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_3(self.conv_23(self.conv2_dw(self.conv1(x))))
        x = self.conv_5(self.conv_45(self.conv_4(self.conv_34(x))))
        return self.bn(self.linear(self.conv_6_dw(self.conv_6_sep(x)).flatten(1)))


def from_state(state: dict[str, Tensor]) -> MobileFaceNet:
    """The network of a state dict in InsightFace_Pytorch's layout."""
    net = MobileFaceNet(state["linear.weight"].shape[0])
    fill(net, state)
    return net
