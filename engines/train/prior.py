"""ID-Guard's gradient prior perturbation (Sec. III-D, IV-A5; Algorithm 1, lines 2 to 9), and the network behind it.

    python -m engines.train.prior --data DIR --out FOLDER

trains the surrogate M_s, which only reconstructs faces, and saves it in FOLDER, and then δ_p⁰ beside it: the mean of
what PGD finds against it, 10 steps of 0.01, on 2,000 faces (five minutes of two cores). Every training of ID-Guard
starts from the same δ_p⁰.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from engines.manipulate import signed
from engines.nets.stargan import StarGan
from engines.once import frozen
from engines.tensors import fill
from engines.train import processes
from engines.train.celeba import Celeba
from engines.train.datasets import DataError
from engines.train.half import half
from engines.train.pgd import pgd
from engines.train.supervised import Supervised, Task

SIZE, FACES = 128, 2000
KEPT = "prior.safetensors"  # δ_p⁰, in the folder of M_s


class Reconstruction(nn.Module):
    """M_s: a generator as forgers have it, without labels; (N, 3, S, S) in [-1, 1] -> the same, and its features."""

    def __init__(self, width: int = 16):
        super().__init__()
        self.net = StarGan(0, width)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.net(pixels, pixels.new_zeros(len(pixels), 0))


def prior(net: nn.Module, faces: Celeba, count: int = FACES, part: int = 20, seed: int = 0) -> Tensor:
    """δ_p⁰: the mean over faces of PGD's perturbations against M_s, (1, 3, 128, 128)."""
    device, generator = next(net.parameters()).device, torch.Generator().manual_seed(seed)
    index = np.random.default_rng(seed).permutation(len(faces))[:count]
    total = torch.zeros(1, 3, SIZE, SIZE, device=device)
    for start in range(0, len(index), part):
        pixels = signed(faces.pixels(index[start : start + part], SIZE)).to(device)
        with half(device.type):  # the signs of slopes need no more
            with torch.no_grad():
                still = net(pixels)
            total += pgd(lambda moved, still=still: F.mse_loss(net(moved), still), pixels, generator).sum(0)  # type: ignore
    return total / len(index)


def surrogate(folder: Path, device: str = "cpu") -> nn.Module:
    """M_s of a training's folder."""
    net = Reconstruction()
    fill(net, {name: value.float() for name, value in load_file(folder / "weights.safetensors").items()})
    return frozen(net, device)


def found(folder: Path) -> Tensor:
    """δ_p⁰ of a training's folder, (1, 3, 128, 128); DataError where there is none."""
    if not (path := Path(folder) / KEPT).is_file():
        raise DataError(f"There is no prior perturbation in {Path(folder).name}: run engines.train.prior.")
    return load_file(path)["prior"]


def task(train: Celeba, test: Celeba) -> Task:
    """The mean absolute difference from the input; measured on people never trained on."""

    def batch(index: np.ndarray, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        pixels = signed(train.pixels(index, SIZE))
        return pixels, pixels

    def measure(net: nn.Module) -> dict[str, float]:
        pixels = signed(test.pixels(np.arange(min(100, len(test))), SIZE)).to(next(net.parameters()).device)
        return {"l1": round(float((net(pixels) - pixels).abs().mean()), 4)}

    return Task("reconstruction", len(train), batch, F.l1_loss, measure)


def main() -> None:
    """Train M_s."""
    parser = argparse.ArgumentParser(description="Train the reconstruction network behind ID-Guard's prior.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--faces", type=int, default=4000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--device", default=processes.device())
    args = parser.parse_args()
    try:
        train, test = Celeba.read(args.data, "train", args.faces), Celeba.read(args.data, "test")
    except DataError as error:
        raise SystemExit(str(error)) from None
    torch.manual_seed(0)
    Supervised(task(train, test), Reconstruction(), args.out, args.epochs, size=8, device=args.device).run()
    save_file({"prior": prior(surrogate(args.out, args.device), train).cpu()}, args.out / KEPT)


if __name__ == "__main__":
    main()
