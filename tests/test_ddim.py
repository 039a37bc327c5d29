"""The mathematics of diffusion: the published schedules, their inverses, DDIM where the noise is known."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from engines.ddim import Schedule, spaced
from engines.diffface import imagined


def test_the_linear_schedule_is_the_releases():
    kept = Schedule.linear().kept
    assert len(kept) == 1000 and float(kept[0]) == pytest.approx(1 - 1e-4)
    assert float(1 - kept[-1] / kept[-2]) == pytest.approx(0.02)
    assert float(kept[-1]) == pytest.approx(4.0358e-5, rel=1e-4)  # DDPM's, Sec. 4
    half = Schedule.linear(500).kept
    assert float(1 - half[0]) == pytest.approx(2e-4) and float(half[-1]) == pytest.approx(float(kept[-1]), rel=0.2)


def test_the_cosine_schedule_is_a_squared_cosine_with_bounded_betas():
    kept = Schedule.cosine().kept
    wave = [math.cos((t / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2 for t in range(1001)]
    for t in (0, 250, 500, 900):
        assert float(kept[t]) == pytest.approx(wave[t + 1] / wave[0], rel=1e-9)
    assert float(kept[-1] / kept[-2]) == pytest.approx(0.001) and float(kept[-1]) > 0
    assert (kept.diff() < 0).all()


def test_clean_and_noise_take_back_what_noising_did():
    schedule, generator = Schedule.cosine(), torch.Generator().manual_seed(0)
    clean, noise = (torch.randn(3, 3, 4, 4, generator=generator) for _ in range(2))
    times = torch.tensor([0, 400, 900])
    noisy = schedule.noised(clean, noise, times)
    for k, t in enumerate(times.tolist()):
        torch.testing.assert_close(schedule.noised(clean[k : k + 1], noise[k : k + 1], t)[0], noisy[k])
    torch.testing.assert_close(schedule.clean(noisy, noise, times), clean, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(schedule.noise(noisy, clean, times), noise, atol=1e-4, rtol=1e-4)
    assert torch.equal(schedule.noised(clean, noise, -1), clean)


def test_the_clock_is_the_linear_schedule_s():
    linear, cosine = Schedule.linear(), Schedule.cosine()
    assert [linear.clock(t) for t in (0, 299, 999)] == pytest.approx([0.001, 0.3, 1])
    assert [linear.at(share) for share in (0, 0.3, 0.75, 1)] == [0, 299, 749, 999]
    for t in (50, 400, 800, 950):
        same = linear.kept[linear.at(cosine.clock(t))]
        assert float(same) == pytest.approx(float(cosine.kept[t]), rel=0.03)
    assert cosine.clock(999) == 1 and cosine.at(1.0) == 999
    assert all(cosine.clock(cosine.at(share)) <= share + 1e-9 for share in (0.1, 0.5, 0.9))


def test_time_steps_lie_evenly_and_end_at_nought():
    assert spaced(9, 4) == [9, 6, 3, 0] and spaced(749, 1) == [749] and spaced(2, 3) == [2, 1, 0]
    assert len(set(spaced(749, 749))) == 749
    with pytest.raises(ValueError, match="ask for 1 to 10"):
        spaced(9, 11)


@pytest.mark.parametrize("steps", [1, 7, 30])
def test_ddim_is_exact_where_the_noise_is_known(steps):
    """In double precision: at the first of 1,000 time steps √ᾱ is 5e-5, which magnifies what is rounded."""
    generator = torch.Generator().manual_seed(0)
    picture = torch.rand(2, 3, 64, 64, generator=generator, dtype=torch.float64)
    noise = torch.randn(2, 3, 64, 64, generator=generator, dtype=torch.float64)
    schedule = Schedule.cosine()
    net = SimpleNamespace(
        schedule=schedule, noise=lambda noisy, time, rows: schedule.noise(noisy, 2 * picture - 1, time)
    )
    torch.testing.assert_close(imagined(net, torch.zeros(2, 128), noise, steps), picture, atol=1e-9, rtol=0)
