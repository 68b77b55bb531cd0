import json
import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from scipy import stats

from genimage_core import spectrum
from genimage_core.augment import AugmentParams, FrequencyPolicy, _change_bins, apply, sample

CPU = torch.device("cpu")
SIZES = [(32, 32), (33, 31), (16, 40), (31, 32)]
OPERATIONS = {
    "low_pass": FrequencyPolicy(mask_kind="low_pass", mask_radius=0.1),
    "high_pass": FrequencyPolicy(mask_kind="high_pass", mask_radius=0.4),
    "ring": FrequencyPolicy(mask_kind="ring", mask_radius=0.4),
    "random": FrequencyPolicy(mask_kind="random", mask_radius=0.5),
    "noise": FrequencyPolicy(noise_scale=0.5),
    "phase": FrequencyPolicy(phase_perturb_prob=1.0, phase_perturb_scale=1.0),
    "amplitude_mix": FrequencyPolicy(amplitude_mix=1.0),
    "mix_across_classes": FrequencyPolicy(amplitude_mix=1.0, mix_across_classes=True),
    "half_blend": FrequencyPolicy(noise_scale=0.5, blend_alpha=0.5),
    "luma": FrequencyPolicy(mask_kind="low_pass", mask_radius=0.1, channels="luma"),
    "magnitude_phase": FrequencyPolicy(
        noise_scale=0.5,
        phase_perturb_prob=0.8,
        phase_perturb_scale=math.pi,
        blend_alpha=0.6,
        blend_domain="magnitude_phase",
    ),
    "everything": FrequencyPolicy(
        mask_kind="random",
        mask_radius=0.3,
        noise_scale=0.4,
        phase_perturb_prob=0.7,
        phase_perturb_scale=0.8,
        amplitude_mix=0.9,
        blend_alpha=0.7,
    ),
    "everything_in_luma": FrequencyPolicy(
        mask_kind="ring",
        mask_radius=0.3,
        noise_scale=0.4,
        phase_perturb_prob=0.7,
        phase_perturb_scale=2.5,
        amplitude_mix=0.9,
        blend_alpha=0.7,
        blend_domain="magnitude_phase",
        channels="luma",
    ),
}
MIXING = [name for name, policy in OPERATIONS.items() if policy.amplitude_mix > 0]
NOT_MIXING = [name for name in OPERATIONS if name not in MIXING]
LABELS = torch.tensor([0, 0, 1, 1, 0, 1])


@pytest.fixture(params=OPERATIONS)
def policy(request):
    return OPERATIONS[request.param]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def noise_images(n=6, size=(32, 32), contrast=1.0, seed=1):
    return 0.5 + contrast * (torch.rand(n, 3, *size, generator=seeded(seed)) - 0.5)


def draw(policy, seed=0, labels=LABELS):
    return sample(policy, len(labels), seeded(seed), labels=labels)


def strengths(params):
    return {field.name: getattr(params, field.name) for field in fields(AugmentParams)[1:]}


def stop(params, rows):
    """`params` with no strength left in `rows`."""
    nothing = spectrum.CORNER if params.policy.mask_kind == "low_pass" else 0.0
    values = {name: getattr(params, name).clone() for name in ("mask", "ring_width", "noise", "phase", "mix")}
    for name, value in values.items():
        value[rows] = nothing if name == "mask" else 0.0
    return replace(params, **values)


class TestContract:
    """What holds for every operation."""

    def test_a_stopped_image_comes_back_bit_for_bit(self, policy):
        images, params = noise_images(), draw(policy)
        stopped = torch.tensor([True, False, True, False, False, True])
        changed = apply(images, stop(params, stopped))
        same = (changed == images).flatten(1).all(1)
        assert torch.equal(same[stopped], torch.ones(3, dtype=torch.bool))
        assert torch.equal(changed[~stopped], apply(images, params)[~stopped])
        assert torch.equal(apply(images, stop(params, slice(None))), images)

    def test_it_changes_images(self, policy):
        assert not torch.allclose(apply(noise_images(), draw(policy)), noise_images(), atol=1e-3)

    @pytest.mark.parametrize("size", SIZES)
    def test_shape_type_device_and_range(self, policy, size):
        images = noise_images(size=size)
        before = images.clone()
        changed = apply(images, draw(policy))
        assert (changed.shape, changed.dtype, changed.device) == (images.shape, images.dtype, images.device)
        assert changed.isfinite().all()
        assert changed.min() >= 0
        assert changed.max() <= 1
        assert torch.equal(images, before)

    def test_the_generator_decides(self, policy):
        images = noise_images()
        once, again, other = (apply(images, draw(policy, seed)) for seed in (5, 5, 6))
        assert torch.equal(once, again)
        assert not torch.allclose(once, other, atol=1e-3)

    def test_params_can_be_replayed(self, policy):
        images, params = noise_images(), draw(policy)
        first = apply(images, params)
        torch.rand(1000)
        assert torch.equal(apply(images, params), first)

    def test_global_random_state_is_left_alone(self, policy):
        state = torch.get_rng_state()
        apply(noise_images(), draw(policy))
        assert torch.equal(torch.get_rng_state(), state)

    def test_an_image_depends_on_itself_and_its_partner_only(self, policy):
        images, params = noise_images(), draw(policy)
        others = noise_images(seed=99)
        for row in range(len(images)):
            mixed = others.clone()
            mixed[row] = images[row]
            if policy.amplitude_mix > 0:
                mixed[params.partner[row]] = images[params.partner[row]]
            assert torch.equal(apply(mixed, params)[row], apply(images, params)[row])

    @pytest.mark.parametrize("policy", NOT_MIXING, indirect=True)
    def test_an_image_does_not_depend_on_the_size_of_the_batch(self, policy):
        images, params = noise_images(20), draw(policy, labels=torch.zeros(20))
        together = apply(images, params)
        for row in (2, 9, 19):
            alone = replace(params, **{name: value[[row]] for name, value in strengths(params).items()})
            torch.testing.assert_close(apply(images[[row]], alone)[0], together[row], atol=1e-6, rtol=0)

    @pytest.mark.parametrize("size", SIZES)
    def test_the_spectrum_is_that_of_a_real_image(self, policy, size):
        bins = torch.fft.rfft2(noise_images(size=size))
        _change_bins(bins, draw(policy), *size)
        back = torch.fft.rfft2(torch.fft.irfft2(bins, s=size))
        torch.testing.assert_close(back, bins, atol=1e-4, rtol=1e-4)

    @pytest.mark.parametrize("policy", NOT_MIXING, indirect=True)
    def test_the_mean_is_kept(self, policy):
        images = noise_images(contrast=0.1)
        changed = apply(images, draw(policy))
        assert 0 < changed.min() <= changed.max() < 1
        torch.testing.assert_close(changed.mean((2, 3)), images.mean((2, 3)), atol=1e-5, rtol=0)

    def test_autocast_changes_nothing(self, policy):
        images, params = noise_images(), draw(policy)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            under = apply(images, params)
        assert torch.equal(under, apply(images, params))

    def test_memory_format_changes_nothing(self, policy):
        images, params = noise_images(), draw(policy)
        transposed = images.contiguous(memory_format=torch.channels_last)
        assert torch.equal(apply(transposed, params), apply(images, params))

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    def test_another_device_gives_the_same(self, policy):
        images, params = noise_images(), draw(policy)
        on_gpu = apply(images.cuda(), params)
        assert on_gpu.device.type == "cuda"
        torch.testing.assert_close(on_gpu.cpu(), apply(images, params), atol=1e-5, rtol=0)

    @pytest.mark.parametrize("size", [(16, 16), (17, 15), (8, 20), (15, 16)])
    def test_the_oracle_agrees(self, policy, size):
        images, params = noise_images(size=size), draw(policy)
        expected = oracle(images.double().numpy(), params)
        np.testing.assert_allclose(apply(images, params).numpy(), expected, atol=2e-5)


def oracle(images, params):
    """The policy in float64 on the full complex spectrum, image by image and channel by channel."""
    results = []
    for row, image in enumerate(images):
        partner = images[params.partner[row]]
        change = OraclePlane(params, row, image.shape[1:])
        if params.policy.channels == "luma":
            weights = np.array([0.299, 0.587, 0.114])
            old, other = (np.tensordot(weights, picture, 1) for picture in (image, partner))
            results.append(image + change(old, other) - old)
        else:
            results.append([change(*planes) for planes in zip(image, partner, strict=True)])
    return np.clip(results, 0, 1)


class OraclePlane:
    def __init__(self, params, row, size):
        self.policy, self.mix = params.policy, float(params.mix[row])
        self.gain, self.shift = np.ones(size), np.zeros(size)
        for bin_ in np.ndindex(*size):
            if bin_ != (0, 0):
                self.gain[bin_], self.shift[bin_] = oracle_bin(bin_, size, params, row)

    def __call__(self, plane, partner):
        bins, alpha = np.fft.fft2(plane), self.policy.blend_alpha
        amplitude, phase = np.abs(bins), np.angle(bins)
        new_amplitude = ((1 - self.mix) * amplitude + self.mix * np.abs(np.fft.fft2(partner))) * self.gain
        if self.policy.blend_domain == "magnitude_phase":
            arc = np.angle(np.exp(1j * self.shift))
            blended = ((1 - alpha) * amplitude + alpha * new_amplitude) * np.exp(1j * (phase + alpha * arc))
            return real(np.fft.ifft2(blended))
        new = real(np.fft.ifft2(new_amplitude * np.exp(1j * (phase + self.shift))))
        return (1 - alpha) * plane + alpha * new


def oracle_bin(bin_, size, params, row):
    """Gain and phase shift of one bin of the full spectrum."""
    (u, v), (height, width), seed = bin_, size, int(params.seed[row])
    mirror = (-u % height, -v % width)
    # The member of the pair that is counted: the left one or, in one column, the upper one.
    first = min((bin_, mirror), key=lambda member: (member[1], member[0]))
    sign = 0 if mirror == bin_ else 1 if first == bin_ else -1
    kept = width // 2 + 1
    counter = first[0] * kept + first[1]
    word, chance = hashed(counter, seed), (hashed(counter + height * kept, seed) >> 8) / 2**24
    radius = math.hypot(*(min(k, n - k) / n for k, n in zip(bin_, size, strict=True)))
    gain = oracle_keeps(params, row, radius, chance) * math.exp(params.noise[row] * QUANTILES[word & 0xFFFF])
    return gain, sign * float(params.phase[row]) * QUANTILES[word >> 16]


def oracle_keeps(params, row, radius, chance):
    mask, half_width = float(params.mask[row]), float(params.ring_width[row]) / 2
    return {
        "none": True,
        "low_pass": radius <= mask,
        "high_pass": radius >= mask,
        "ring": abs(radius - mask) >= half_width,
        "random": chance >= mask,
    }[params.policy.mask_kind]


def hashed(counter, seed):
    word = counter * 0x9E3779B1 % 2**32 ^ seed
    word ^= word >> 16
    word = word * 0x85EBCA6B % 2**32
    word ^= word >> 13
    word = word * 0xC2B2AE35 % 2**32
    return word ^ word >> 16


QUANTILES = stats.norm.ppf((np.arange(2**16) + 0.5) / 2**16)
QUANTILES /= QUANTILES.std()


def real(values):
    assert np.abs(values.imag).max() < 1e-12
    return values.real


def cosine(rows, columns, size=(32, 32), phase=0.0):
    """One cosine of `rows` and `columns` periods around mid-grey, (1, 3, H, W)."""
    row = torch.arange(size[0], dtype=torch.float64)[:, None] / size[0]
    column = torch.arange(size[1], dtype=torch.float64) / size[1]
    wave = 0.5 + 0.25 * torch.cos(2 * math.pi * (rows * row + columns * column) + phase)
    return wave.float().expand(1, 3, *size)


def one(policy, **values):
    """Params of one image with the given strengths."""
    params = sample(policy, 1, seeded(), labels=torch.zeros(1))
    return replace(params, **{name: torch.tensor([value]) for name, value in values.items()})


class TestClosedForms:
    @pytest.mark.parametrize("rows, columns", [(3, 4), (-3, 4), (0, 8), (8, 0), (16, 16)])
    def test_low_pass_keeps_or_removes_one_cosine(self, rows, columns):
        image, radius = cosine(rows, columns), math.hypot(rows, columns) / 32
        keeps, removes = (one(OPERATIONS["low_pass"], mask=radius + by) for by in (1e-4, -1e-4))
        torch.testing.assert_close(apply(image, keeps), image, atol=1e-6, rtol=0)
        torch.testing.assert_close(apply(image, removes), torch.full_like(image, 0.5), atol=1e-6, rtol=0)

    def test_high_pass_and_ring_keep_or_remove_one_cosine(self):
        image, grey = cosine(6, 8), torch.full((1, 3, 32, 32), 0.5)
        for policy, values, expected in [
            (OPERATIONS["high_pass"], {"mask": 0.31}, image),
            (OPERATIONS["high_pass"], {"mask": 0.32}, grey),
            (OPERATIONS["ring"], {"mask": 0.3, "ring_width": 0.02}, image),
            (OPERATIONS["ring"], {"mask": 0.3, "ring_width": 0.03}, grey),
        ]:
            torch.testing.assert_close(apply(image, one(policy, **values)), expected, atol=1e-6, rtol=0)

    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("rows, columns", [(3, 4), (-3, 4), (5, 0)])
    def test_a_phase_shift_moves_one_cosine(self, rows, columns, size):
        params = one(OPERATIONS["phase"], phase=0.7)
        _, normal = spectrum.normal_pair(spectrum.random_bits(params.seed, *size))
        shift = 0.7 * float(normal[0, 0, rows, columns])
        expected = cosine(rows, columns, size, phase=shift)
        torch.testing.assert_close(apply(cosine(rows, columns, size), params), expected, atol=1e-5, rtol=0)

    def test_magnitude_and_phase_are_blended_along_the_shorter_arc(self):
        policy = replace(OPERATIONS["magnitude_phase"], blend_alpha=0.25, noise_scale=0.0)
        params = one(policy, phase=3.0)
        _, normal = spectrum.normal_pair(spectrum.random_bits(params.seed, 32, 32))
        beyond_half_a_turn = (3.0 * normal[0, 0, 1:16, 1:16]).abs() > math.pi
        row, column = (beyond_half_a_turn.nonzero()[0] + 1).tolist()
        shift = 3.0 * float(normal[0, 0, row, column])
        arc = math.remainder(shift, 2 * math.pi)
        expected = cosine(row, column, phase=0.25 * arc)
        torch.testing.assert_close(apply(cosine(row, column), params), expected, atol=1e-5, rtol=0)

    @pytest.mark.parametrize("scale", [0.05, 0.2])
    def test_noise_on_an_impulse_is_measured_back(self, scale):
        image = torch.full((1, 3, 64, 64), 0.5)
        image[..., 20, 30] += 0.25
        changed = apply(image, one(OPERATIONS["noise"], noise=scale))
        amplitude = torch.fft.fft2(changed.double() - 0.5).abs()[0, 0] / 0.25
        gain = amplitude.log().flatten()[1:]
        assert float(gain.std()) == pytest.approx(scale, rel=0.04)
        assert float(gain.mean()) == pytest.approx(0, abs=4 * scale / math.sqrt(64 * 64 / 2))
        # Parseval: the energy grows by the mean squared gain.
        energy = (changed.double() - 0.5).square().sum((2, 3))[0, 0] / 0.25**2
        assert float(energy) == pytest.approx(float(amplitude.square().mean()), rel=1e-6)
        assert float(amplitude.square().mean()) == pytest.approx(math.exp(2 * scale**2), rel=0.05)

    @pytest.mark.parametrize("size", SIZES)
    def test_low_pass_leaves_nothing_beyond_its_radius(self, size):
        images = noise_images(size=size, contrast=0.1)
        params = draw(OPERATIONS["low_pass"])
        changed = torch.fft.rfft2(apply(images, params).double()).abs()
        before = torch.fft.rfft2(images.double()).abs()
        radius = spectrum.radial_frequency(*size, CPU)
        beyond = (radius > params.mask.view(-1, 1, 1, 1)).expand_as(before)
        assert beyond.any()
        assert changed[beyond].max() < 1e-4
        torch.testing.assert_close(changed[~beyond], before[~beyond], atol=1e-4, rtol=1e-4)

    def test_random_mask_removes_its_share_of_the_pairs(self):
        image = torch.full((1, 3, 64, 64), 0.5)
        image[..., 20, 30] += 0.25
        changed = apply(image, one(OPERATIONS["random"], mask=0.3))
        left = torch.fft.fft2(changed.double() - 0.5).abs()[0] / 0.25
        removed = left < 0.5
        assert torch.equal(removed[0], removed[1])
        assert float(removed[0].double().mean()) == pytest.approx(0.3, abs=0.03)
        torch.testing.assert_close(left[~removed], torch.ones_like(left[~removed]), atol=1e-3, rtol=0)

    def test_luma_keeps_differences_of_colour(self):
        images = noise_images(contrast=0.1)
        changed = apply(images, draw(OPERATIONS["luma"]))
        for pair in ((0, 1), (1, 2)):
            before, after = (picture[:, pair[0]] - picture[:, pair[1]] for picture in (images, changed))
            torch.testing.assert_close(after, before, atol=1e-6, rtol=0)

    def test_channels_share_masks_and_fields(self):
        grey = noise_images()[:, :1].expand(-1, 3, -1, -1)
        changed = apply(grey, draw(replace(OPERATIONS["everything"], blend_alpha=1.0)))
        torch.testing.assert_close(changed[:, :1].expand_as(changed), changed, atol=1e-5, rtol=0)

    def test_blend_is_the_weighted_mean(self):
        images = noise_images(contrast=0.1)
        full = OPERATIONS["noise"]
        only, part = (apply(images, draw(replace(full, blend_alpha=a))) for a in (1.0, 0.3))
        torch.testing.assert_close(part, 0.7 * images + 0.3 * only, atol=1e-6, rtol=0)


class TestAmplitudeMix:
    def test_partners_are_a_cycle_through_each_class(self):
        labels = torch.randint(0, 2, (41,), generator=seeded(3))
        partner = draw(OPERATIONS["amplitude_mix"], labels=labels).partner
        assert torch.equal(labels[partner], labels)
        assert torch.equal(partner.sort().values, torch.arange(41))
        assert not (partner == torch.arange(41)).any()

    def test_partners_across_classes_need_no_labels(self):
        params = sample(OPERATIONS["mix_across_classes"], 64, seeded())
        labels = torch.arange(64) % 2
        assert 16 < (labels[params.partner] != labels).sum() < 48

    def test_an_image_alone_in_its_class_is_left_alone(self):
        labels = torch.tensor([0, 1, 1, 1])
        images = noise_images(4)
        params = draw(OPERATIONS["amplitude_mix"], labels=labels)
        assert params.partner[0] == 0
        assert torch.equal(apply(images, params)[0], images[0])

    def test_amplitudes_are_mixed_under_the_own_phase(self):
        images = noise_images(2, contrast=0.2)
        params = draw(OPERATIONS["amplitude_mix"], labels=torch.zeros(2))
        params = replace(params, mix=torch.tensor([0.3, 1.0]))
        before, after = (torch.fft.rfft2(x.double()) for x in (images, apply(images, params)))
        expected = 0.7 * before[0].abs() + 0.3 * before[1].abs()
        torch.testing.assert_close(after[0].abs(), expected, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(after[1].abs(), before[0].abs(), atol=1e-4, rtol=1e-4)
        turned = (after * before.conj()).angle().abs()
        assert turned[before.abs() > 0.1].max() < 1e-3

    def test_an_empty_bin_stays_empty(self):
        images = torch.stack([torch.zeros(3, 16, 16), torch.rand(3, 16, 16, generator=seeded())])
        params = draw(OPERATIONS["amplitude_mix"], labels=torch.zeros(2))
        assert torch.equal(apply(images, params)[0], images[0])

    @pytest.mark.parametrize(
        "labels, message", [(None, "needs labels"), (torch.zeros(3), r"\(6,\), got \(3,\)")]
    )
    def test_labels_that_do_not_fit_are_refused(self, labels, message):
        with pytest.raises(ValueError, match=message):
            sample(OPERATIONS["amplitude_mix"], 6, seeded(), labels=labels)


class TestSample:
    N = 4000

    @pytest.mark.parametrize(
        "policy, drawn, low, high",
        [
            (FrequencyPolicy(mask_kind="low_pass", mask_radius=0.2), "mask", 0.2, math.sqrt(0.5)),
            (FrequencyPolicy(mask_kind="high_pass", mask_radius=0.2), "mask", 0.0, 0.2),
            (FrequencyPolicy(mask_kind="random", mask_radius=0.2), "mask", 0.0, 0.2),
            (FrequencyPolicy(mask_kind="ring", mask_radius=0.2), "mask", 0.0, 0.5),
            (FrequencyPolicy(mask_kind="ring", mask_radius=0.2), "ring_width", 0.0, 0.2),
            (FrequencyPolicy(noise_scale=0.4), "noise", 0.0, 0.4),
            (FrequencyPolicy(amplitude_mix=0.8, mix_across_classes=True), "mix", 0.0, 0.8),
            (FrequencyPolicy(), "seed", 0.0, 2.0**31),
        ],
    )
    def test_strengths_are_uniform(self, policy, drawn, low, high):
        values = getattr(sample(policy, self.N, seeded(7)), drawn).double().numpy()
        assert values.min() >= low - 1e-7
        assert values.max() <= high + 1e-7
        assert stats.kstest(values, "uniform", (low, high - low)).pvalue > 0.01

    def test_phases_are_perturbed_with_their_probability(self):
        policy = FrequencyPolicy(phase_perturb_prob=0.3, phase_perturb_scale=0.8)
        phase = sample(policy, self.N, seeded(7)).phase
        assert set(phase.tolist()) == {0.0, float(torch.tensor(0.8))}
        assert float((phase > 0).double().mean()) == pytest.approx(0.3, abs=0.03)

    def test_every_policy_advances_the_generator_alike(self, policy):
        generators = seeded(), seeded()
        sample(policy, 6, generators[0], labels=LABELS)
        sample(FrequencyPolicy(), 6, generators[1])
        assert torch.equal(generators[0].get_state(), generators[1].get_state())

    def test_strengths_of_an_image_do_not_depend_on_the_length_of_the_batch(self):
        policy = OPERATIONS["magnitude_phase"]
        short, long = (strengths(sample(policy, n, seeded())) for n in (3, 64))
        for name, values in short.items():
            assert torch.equal(values, long[name][:3])


class TestPolicy:
    def test_the_default_is_the_identity(self):
        images = noise_images()
        params = draw(FrequencyPolicy())
        assert FrequencyPolicy().is_identity
        assert not params.changes.any()
        assert apply(images, params) is images

    @pytest.mark.parametrize(
        "values",
        [
            {"blend_alpha": 0.0, "noise_scale": 1.0},
            {"mask_kind": "ring", "mask_radius": 0.0},
            {"phase_perturb_prob": 1.0, "phase_perturb_scale": 0.0},
            {"phase_perturb_prob": 0.0, "phase_perturb_scale": 1.0},
        ],
    )
    def test_what_cannot_change_an_image_is_the_identity(self, values):
        policy = FrequencyPolicy(**values)
        assert policy.is_identity
        assert torch.equal(apply(noise_images(), draw(policy)), noise_images())

    def test_operations_are_not_the_identity(self, policy):
        assert not policy.is_identity

    @pytest.mark.parametrize(
        "field, value, message",
        [
            ("mask_radius", 0.7, r"mask_radius must be within \[0, 0.5\] cycles/pixel, got 0.7"),
            ("mask_radius", -0.1, r"mask_radius must be within \[0, 0.5\] cycles/pixel, got -0.1"),
            ("noise_scale", 2.5, r"noise_scale must be within \[0, 2\], got 2.5"),
            ("noise_scale", math.nan, r"noise_scale must be within \[0, 2\], got nan"),
            ("noise_scale", "0.3", r"noise_scale must be within \[0, 2\], got '0.3'"),
            ("noise_scale", True, r"noise_scale must be within \[0, 2\], got True"),
            ("phase_perturb_prob", 1.5, r"phase_perturb_prob must be within \[0, 1\], got 1.5"),
            ("phase_perturb_scale", 4, r"phase_perturb_scale must be within \[0, 3.14159\] rad, got 4"),
            ("blend_alpha", -1, r"blend_alpha must be within \[0, 1\], got -1"),
            ("amplitude_mix", 2, r"amplitude_mix must be within \[0, 1\], got 2"),
            (
                "mask_kind",
                "box",
                "mask_kind must be one of none, low_pass, high_pass, ring, random, got 'box'",
            ),
            ("blend_domain", "dct", "blend_domain must be one of spatial, magnitude_phase, got 'dct'"),
            ("channels", "bgr", "channels must be one of rgb, luma, got 'bgr'"),
            ("mix_across_classes", 1, "mix_across_classes must be true or false, got 1"),
        ],
    )
    def test_a_value_out_of_range_is_named(self, field, value, message):
        with pytest.raises(ValueError, match=message):
            FrequencyPolicy(**{field: value})

    def test_json_round_trip(self, policy):
        assert FrequencyPolicy.from_dict(json.loads(json.dumps(policy.to_dict()))) == policy

    def test_an_unknown_key_is_named_beside_the_known_ones(self):
        with pytest.raises(
            ValueError, match="unknown policy field 'mask_size'; known: mask_radius, mask_kind, "
        ):
            FrequencyPolicy.from_dict({"mask_size": 3})


@pytest.mark.parametrize(
    "images, message",
    [
        (torch.zeros(6, 3, 8, 8, dtype=torch.float16), r"got float16 of shape \(6, 3, 8, 8\)"),
        (torch.zeros(6, 3, 8, 8, dtype=torch.uint8), r"got uint8 of shape"),
        (torch.zeros(6, 1, 8, 8), r"got float32 of shape \(6, 1, 8, 8\)"),
        (torch.zeros(3, 8, 8), r"got float32 of shape \(3, 8, 8\)"),
        (torch.zeros(5, 3, 8, 8), "params were drawn for 6 images, got 5"),
    ],
)
def test_images_of_another_kind_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        apply(images, draw(OPERATIONS["noise"]))
