"""How far a training of IPMN is: the figures of the paper's Tables 2 and 3 on people never trained on, and a grid."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torchvision.utils import save_image

from engines.marks import blank, extracted, nc
from engines.measure import psnr, ssim
from engines.nets.hidden import read
from engines.nets.ipmn import Ipmn
from engines.train.ipmn_masks import Source
from engines.train.ipmn_stages import Batch, Service
from engines.train.quantise import rounded

if TYPE_CHECKING:
    from engines.train.ipmn import Training

SHOWN = 6
CEILING = 99.0  # dB shown for equal pictures
Rows = dict[str, list[Tensor]]


@torch.no_grad()
def held_out(training: Training, test: Source, faces: int = 48, part: int = 8) -> dict[str, float]:
    """Means over so many faces, all by 8-bit files. What the phase has not trained yet is left out.

    "psnr"/"ssim" of p (x_p, x'_p), wmf (x_wm, x_wmf), wm' (x_wm, x'_wm) and m (x_m, x_wm), in dB and at most 1;
    "nc" and "sr" (SR_E) of R's reading of wm, wmf, wm' and sm; "blank": the share of x_m, x_p and x'_p that R reads
    as blank. With HiDDeN, which knows no blank, "nc" and "sr" are those of its bits (`engines.nets.hidden.read`),
    and "bits" is the share of them that are right.
    """
    rows: Rows = defaultdict(list)
    shown = []
    kept = torch.get_rng_state()
    torch.manual_seed(0)
    faces, side = min(faces, len(test)), training.recipe.sizes.side
    index = np.arange(faces) * (len(test) // faces)
    marks = training.marks(faces, np.random.default_rng(0))
    for start in range(0, faces, part):
        batch = training.batch(test.take(index[start : start + part], side), marks[start : start + part])
        shown.append(_measured(training, batch, rows))
    torch.set_rng_state(kept)
    grid = torch.cat([torch.cat(pictures)[:SHOWN] for pictures in zip(*shown, strict=True)])
    training.folder.mkdir(parents=True, exist_ok=True)
    save_image(grid.clamp(0, 1), training.folder / "grid.png", nrow=min(SHOWN, faces))
    return {name: round(float(torch.cat(values).float().mean()), 4) for name, values in rows.items()}


def _measured(training: Training, batch: Batch, rows: Rows) -> list[Tensor]:
    """Add a part's figures; returns its pictures for the grid."""
    net, stage, marked = training.average, training.reached, training.recipe.mark
    carrier = rounded(net.marked(batch.mask, batch.watermark)) if marked else batch.mask
    sources, unmarked = {"wm": carrier}, [batch.mask, batch.protected]
    shown = [batch.protected, batch.mask, carrier]
    if stage >= 1:
        served = training.service(net, batch)
        _restored(rows, batch, carrier, served)
        sources = {"wmf": served.masked, "wm'": served.marked}
        unmarked.append(served.protected)
        shown += [served.masked, served.protected]
    found = []
    if marked:
        _alike(rows, "m", carrier, batch.mask)
        found = [batch.watermark, *(_read(net, rows, *source, batch.watermark) for source in sources.items())]
    if marked and not training.recipe.hidden:
        rows["blank"] += [blank(net.extract(picture)) for picture in unmarked]
    if marked and stage >= 2:
        thief, watermark = training.robbed(len(batch.mask))
        simulated = rounded(thief(batch.protected, batch.replacing))
        shown.append(simulated)
        found.append(_read(net, rows, "sm", simulated, watermark))
    return shown if training.recipe.hidden else shown + found


def _restored(rows: Rows, batch: Batch, carrier: Tensor, served: Service) -> None:
    _alike(rows, "p", served.protected, batch.protected)
    _alike(rows, "wmf", served.masked, carrier)
    _alike(rows, "wm'", served.marked, carrier)


def _alike(rows: Rows, name: str, one: Tensor, two: Tensor) -> None:
    rows[f"psnr {name}"].append(psnr(one, two).clamp_max(CEILING))
    rows[f"ssim {name}"].append(ssim(one, two))


def _read(net: Ipmn, rows: Rows, name: str, pictures: Tensor, watermark: Tensor) -> Tensor:
    found = net.extract(pictures)
    if watermark.ndim == 2:
        found = read(found)
        rows[f"bits {name}"].append((found == watermark).float())
    rows[f"nc {name}"].append(nc(found, watermark))
    rows[f"sr {name}"].append(extracted(found, watermark))
    return found
