"""Known images in, known images out: cosines, impulses, white noise; strengths are measured back."""

import math
from dataclasses import replace

import pytest
import torch
from augmentations import POLICIES, cosine, draw, impulse, noise_images, one

from genimage_core import fields, spectrum
from genimage_core.augment import FrequencyPolicy, apply

CPU = torch.device("cpu")
SIZES = [(32, 32), (33, 31), (16, 40), (31, 32)]
GREY = torch.full((1, 3, 32, 32), 0.5)
PEAK = FrequencyPolicy(peak_scale=0.5)


def close(one, two, atol=1e-6):
    torch.testing.assert_close(one, two, atol=atol, rtol=0)


def gain_of(policy, size=(64, 64), **strengths):
    """What the full spectrum of an impulse is multiplied by, (H, W) of the first channel."""
    changed = apply(impulse(size), one(policy, **strengths))
    return torch.fft.fft2(changed.double() - 0.5).abs()[0, 0] / 0.25


def full_radius(height, width):
    return torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width))


def waves_of(image):
    """Bins of the half spectrum that hold a wave, with the amplitude of each in image units."""
    height, width = image.shape[-2:]
    bins = torch.fft.rfft2(image.double())[0, 0]
    bins[0, 0] = 0
    found = (bins.abs() > 1e-3 * height * width).nonzero().tolist()
    return {tuple(bin_): 2 * float(bins[tuple(bin_)].abs()) / (height * width) for bin_ in found}


class TestMasks:
    @pytest.mark.parametrize("rows, columns", [(3, 4), (-3, 4), (0, 8), (8, 0), (16, 16)])
    def test_low_pass_keeps_or_removes_one_cosine(self, rows, columns):
        image, radius = cosine(rows, columns), math.hypot(rows, columns) / 32
        policy = POLICIES["low_pass"]
        close(apply(image, one(policy, mask=spectrum.CORNER - radius - 1e-4)), image)
        close(apply(image, one(policy, mask=spectrum.CORNER - radius + 1e-4)), GREY)

    @pytest.mark.parametrize(
        "name, strengths, kept",
        [
            ("high_pass", {"mask": 0.31}, True),
            ("high_pass", {"mask": 0.32}, False),
            ("ring", {"mask_centre": 0.3, "mask": 0.01}, True),
            ("ring", {"mask_centre": 0.3, "mask": 0.015}, False),
        ],
    )
    def test_high_pass_and_ring_keep_or_remove_one_cosine(self, name, strengths, kept):
        image = cosine(6, 8)  # 10 / 32 cycles per pixel
        close(apply(image, one(POLICIES[name], **strengths)), image if kept else GREY)

    @pytest.mark.parametrize(
        "depth, gain", [(-0.01, 1.0), (0.025, (1 + 0.5**0.5) / 2), (0.05, 0.5), (0.1, 0.0)]
    )
    @pytest.mark.parametrize("name, at_edge", [("low_pass", spectrum.CORNER - 0.3125), ("high_pass", 0.3125)])
    def test_a_soft_edge_is_a_raised_cosine_on_the_removed_side(self, name, at_edge, depth, gain):
        policy = replace(POLICIES[name], mask_softness=0.1)
        changed = apply(cosine(6, 8), one(policy, mask=at_edge + depth))
        close(changed, cosine(6, 8, amplitude=0.25 * gain), atol=1e-5)

    @pytest.mark.parametrize("size", SIZES)
    def test_low_pass_leaves_nothing_beyond_its_radius(self, size):
        images, params = noise_images(size=size, contrast=0.1), draw(POLICIES["low_pass"])
        before, after = (torch.fft.rfft2(x.double()).abs() for x in (images, apply(images, params)))
        radius = (spectrum.CORNER - params.mask)[..., None, None]
        beyond = (spectrum.radial_frequency(*size, CPU) > radius + 1e-6).expand_as(before)
        assert beyond.any()
        assert after[beyond].max() < 1e-4
        torch.testing.assert_close(after[~beyond], before[~beyond], atol=1e-4, rtol=1e-4)

    def test_random_removes_its_share_of_the_pairs(self):
        left = gain_of(POLICIES["random"], mask=0.3)
        removed = left < 0.5
        assert float(removed.double().mean()) == pytest.approx(0.3, abs=0.03)
        close(left[~removed], torch.ones_like(left[~removed]), atol=1e-3)

    def test_the_mean_goes_only_if_it_is_told_to(self):
        image = cosine(6, 8)
        high_pass = one(POLICIES["high_pass"], mask=0.2)
        without = replace(high_pass, policy=replace(high_pass.policy, mask_keeps_mean=False))
        close(apply(image, high_pass), image)
        close(apply(image, without), (image - 0.5).clamp_min(0))


class TestAmplitude:
    @pytest.mark.parametrize("scale", [0.05, 0.2])
    @pytest.mark.parametrize("low, high", [(0.0, spectrum.CORNER), (0.1, 0.3)])
    def test_noise_on_an_impulse_is_measured_back(self, scale, low, high):
        policy = FrequencyPolicy(noise_scale=1.0, noise_low=low, noise_high=high)
        gain, radius = gain_of(policy, noise=scale), full_radius(64, 64)
        inside = (radius >= low) & (radius <= high) & (radius > 0)
        logs = gain[inside].log()
        assert float(logs.std()) == pytest.approx(scale, rel=0.06)
        assert float(logs.mean()) == pytest.approx(0, abs=4 * scale / math.sqrt(len(logs) / 2))
        close(gain[~inside], torch.ones_like(gain[~inside]), atol=5e-4)
        # Parseval: the energy grows by the mean squared gain, that of a log-normal.
        assert float(gain[inside].square().mean()) == pytest.approx(math.exp(2 * scale**2), rel=0.05)

    @pytest.mark.parametrize("exponent", [-1.5, -0.5, 0.8])
    def test_tilt_gives_white_noise_a_slope_above_the_knee(self, exponent):
        policy = FrequencyPolicy(tilt=2.0, tilt_knee=0.1)
        white = 0.5 + 0.02 * torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(1))
        frequency, before = spectrum.radial_power(white, rings=40)
        _, after = spectrum.radial_power(apply(white, one(policy, tilt=exponent)), rings=40)
        change = (after / before).mean((0, 1)).log()
        above = frequency > 0.11
        slope = torch.linalg.lstsq(
            torch.stack([frequency[above].log(), torch.ones_like(frequency[above])], 1),
            change[above][:, None],
        ).solution[0]
        assert float(slope) == pytest.approx(2 * exponent, abs=0.02)
        close(change[frequency < 0.09], torch.zeros_like(change[frequency < 0.09]), atol=1e-3)

    def test_tilt_multiplies_one_cosine(self):
        changed = apply(cosine(6, 8), one(FrequencyPolicy(tilt=2.0, tilt_knee=0.1), tilt=-0.7))
        close(changed, cosine(6, 8, amplitude=0.25 * 3.125**-0.7))


class TestPeaks:
    @pytest.mark.parametrize("size", [*SIZES, (2, 8), (9, 1)])
    @pytest.mark.parametrize("seed", range(20))
    def test_a_peak_is_one_cosine_of_its_amplitude_at_an_exact_bin(self, size, seed):
        params = one(PEAK, peaks=0.2, seed=torch.tensor([[seed * 7919]]))
        image = torch.full((1, 3, *size), 0.5)
        added = (apply(image, params) - image).double()
        waves = waves_of(added)
        assert len(waves) <= 2  # both members of a pair in a self-paired column
        for row, column in waves:
            bins = torch.fft.rfft2(added)[0, 0] / (size[0] * size[1])
            own_conjugate = (2 * row) % size[0] == 0 == (2 * column) % size[1]
            phase = float(bins[row, column].angle())
            amplitude = float(bins[row, column].abs()) if own_conjugate else 0.2
            wave = cosine(row, column, size, phase, amplitude) - 0.5
            close(added.float(), wave, atol=1e-5)
            assert amplitude <= 0.2 + 1e-6

    def test_the_waves_are_many_in_their_band_and_all_directions(self):
        policy = FrequencyPolicy(peak_scale=0.5, peak_count=16, peak_low=0.2, peak_high=0.3)
        seeds = torch.arange(40)[:, None] * 104729
        image = torch.full((1, 3, 64, 64), 0.5)
        found = [
            bin_
            for seed in seeds
            for bin_ in waves_of(apply(image, one(policy, peaks=0.02, seed=seed[None])))
        ]
        rows, columns = torch.tensor(found).double().unbind(1)
        rows = torch.where(rows > 32, rows - 64, rows)
        radius = torch.hypot(rows, columns) / 64
        assert 0.2 - 1 / 64 < radius.min() < 0.21
        assert 0.29 < radius.max() < 0.3 + 1 / 64
        assert len(found) > 500
        assert 0.4 < float((rows > 0).double().mean()) < 0.6


class TestPhase:
    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("rows, columns", [(3, 4), (-3, 4), (5, 0)])
    @pytest.mark.parametrize("kind", ["gaussian", "uniform"])
    def test_a_phase_shift_moves_one_cosine(self, rows, columns, size, kind):
        policy = FrequencyPolicy(phase_perturb_prob=1.0, phase_perturb_scale=0.7, phase_kind=kind)
        params = one(policy)
        half = fields.upper_half(fields.random_bits(params.seed, *size))[0, 0, rows, columns]
        shift = 0.7 * float((fields.normal if kind == "gaussian" else fields.symmetric)(half[None]))
        close(apply(cosine(rows, columns, size), params), cosine(rows, columns, size, phase=shift), 1e-5)

    @pytest.mark.parametrize("kind, deviation", [("gaussian", 0.3), ("uniform", 0.3 / math.sqrt(3))])
    def test_the_scale_is_measured_back_within_the_band(self, kind, deviation):
        policy = FrequencyPolicy(phase_perturb_prob=1.0, phase_kind=kind, phase_low=0.1, phase_high=0.4)
        before = torch.fft.fft2(impulse().double() - 0.5)
        after = torch.fft.fft2(apply(impulse(), one(policy, phase=0.3)).double() - 0.5)
        shift, radius = (after * before.conj()).angle()[0, 0], full_radius(64, 64)
        inside = (radius > 0.1) & (radius < 0.4)
        assert float(shift[inside].std()) == pytest.approx(deviation, rel=0.05)
        assert shift[(radius < 0.099) | (radius > 0.401)].abs().max() < 5e-4
        if kind == "uniform":
            assert 0.29 < shift.abs().max() < 0.3005


class TestCombining:
    def test_magnitude_and_phase_are_blended_along_the_shorter_arc(self):
        policy = replace(POLICIES["magnitude_phase"], blend_alpha=0.25, noise_scale=0.0, mask_kind="none")
        params = one(policy, phase=3.0)
        half = fields.upper_half(fields.random_bits(params.seed, 32, 32))
        shift = 3.0 * fields.normal(half)[0, 0]
        row, column = ((shift[1:16, 1:16].abs() > math.pi).nonzero()[0] + 1).tolist()
        arc = math.remainder(float(shift[row, column]), 2 * math.pi)
        close(apply(cosine(row, column), params), cosine(row, column, phase=0.25 * arc), atol=1e-5)

    def test_a_peak_is_blended_by_magnitude_and_phase(self):
        policy = replace(PEAK, blend_domain="magnitude_phase", blend_alpha=0.25)
        params = one(policy, peaks=0.2)
        (row, column), *_ = waves_of(apply(GREY, replace(params, policy=PEAK)))
        phase = float(torch.fft.rfft2(apply(GREY, params))[0, 0, row, column].angle())
        close(apply(GREY, params), cosine(row, column, phase=phase, amplitude=0.05), atol=1e-5)
        own = cosine(row, column, phase=phase - 1.0, amplitude=0.1)
        whole = 0.1 * torch.polar(torch.ones(()), torch.tensor(-1.0)) + 0.2
        expected = cosine(
            row,
            column,
            phase=phase - 1 + 0.25 * (1 + float(whole.angle())),
            amplitude=0.75 * 0.1 + 0.25 * float(whole.abs()),
        )
        close(apply(own, params), expected, atol=1e-5)

    @pytest.mark.parametrize(
        "operation, expected",
        [
            ("average", lambda x, y: 0.7 * x + 0.3 * y),
            ("add", lambda x, y: x + 0.3 * (y - 0.5)),
            ("subtract", lambda x, y: x - 0.3 * (y - 0.5)),
            (
                "overlay",
                lambda x, y: 0.7 * x + 0.3 * torch.where(x < 0.5, 2 * x * y, 1 - 2 * (1 - x) * (1 - y)),
            ),
        ],
    )
    def test_the_original_is_combined_with_what_was_made_of_it(self, operation, expected):
        policy = FrequencyPolicy(tilt=2.0, blend_alpha=0.3, blend_operation=operation)
        x, y = cosine(6, 8), cosine(6, 8, amplitude=0.25 * 3.125**-0.7)
        close(apply(x, one(policy, tilt=-0.7)), expected(x, y), atol=1e-5)

    def test_luma_keeps_differences_of_colour(self):
        images = noise_images(contrast=0.1)
        changed = apply(images, draw(POLICIES["luma"]))
        for pair in ((0, 1), (1, 2)):
            before, after = (picture[:, pair[0]] - picture[:, pair[1]] for picture in (images, changed))
            close(after, before)

    def test_channels_share_strengths_and_fields_unless_they_are_independent(self):
        grey = noise_images(contrast=0.5)[:, :1].expand(-1, 3, -1, -1)
        together, apart = (
            apply(grey, draw(FrequencyPolicy(noise_scale=0.4, channels=kind)))
            for kind in ("rgb", "independent")
        )
        close(together[:, :1].expand_as(together), together, atol=1e-6)
        assert (apart[:, 0] - apart[:, 1]).abs().flatten(1).amax(1).min() > 1e-3
        close(apart[:, 0], together[:, 0], atol=1e-6)
