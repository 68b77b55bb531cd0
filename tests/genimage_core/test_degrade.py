import io
import math

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from genimage_core import degrade
from genimage_core.degrade import blur, jpeg, low_resolution

SIZES = [(32, 32), (33, 30), (16, 41), (5, 7), (1, 1), (1, 9), (8, 1)]
SIGMA = torch.tensor([0.7, 0.0, 3.0, 1.6])
QUALITY = torch.tensor([30, 0, 65, 96])
PER_IMAGE = {"blur": (blur, SIGMA), "jpeg": (jpeg, QUALITY)}


def noise_images(n=4, size=(32, 32), seed=1):
    return torch.rand(n, 3, *size, generator=torch.Generator().manual_seed(seed))


def whole(image):
    """An image of one plane: the same pixels in all channels, (1, 3, H, W)."""
    return torch.as_tensor(image, dtype=torch.float32).expand(1, 3, *image.shape)


def kernel(sigma, reach):
    """Sampled Gaussian of unit sum, float64 (2 reach + 1,)."""
    weights = [math.exp(-0.5 * (i / sigma) ** 2) for i in range(-reach, reach + 1)]
    return np.array(weights) / sum(weights)


@pytest.fixture(params=PER_IMAGE)
def case(request):
    return PER_IMAGE[request.param]


class TestContract:
    def test_zero_strength_is_bit_for_bit_the_image(self, case):
        function, strength = case
        images = noise_images()
        changed = (function(images, strength) != images).flatten(1).any(1)
        assert changed.tolist() == [True, False, True, True]
        assert torch.equal(function(images, torch.zeros_like(strength)), images)

    @pytest.mark.parametrize("size", SIZES)
    def test_shape_type_and_range(self, case, size):
        function, strength = case
        images = noise_images(size=size)
        before = images.clone()
        for result in (function(images, strength), low_resolution(images, min(size))):
            assert (result.shape, result.dtype, result.device) == (images.shape, images.dtype, images.device)
            assert result.isfinite().all()
            assert 0 <= result.min() <= result.max() <= 1
        assert torch.equal(images, before)

    def test_the_result_shares_no_memory_with_the_input(self, case):
        function, strength = case
        images = noise_images()
        for result in (
            function(images, strength),
            function(images, 0 * strength),
            low_resolution(images, 32),
        ):
            result.zero_()
        assert torch.equal(images, noise_images())

    @pytest.mark.parametrize("size", [(32, 32), (33, 30), (5, 7)])
    def test_an_image_depends_on_itself_only(self, case, size):
        function, strength = case
        images = noise_images(size=size)
        together = function(images, strength)
        for row in range(4):
            one = slice(row, row + 1)
            assert torch.equal(function(images[one], strength[one])[0], together[row])
            assert torch.equal(low_resolution(images[one], 4)[0], low_resolution(images, 4)[row])

    def test_memory_layout_does_not_matter(self, case):
        function, strength = case
        images = noise_images(size=(33, 30))
        for layout in (images.to(memory_format=torch.channels_last), images.mT.contiguous().mT):
            torch.testing.assert_close(function(layout, strength), function(images, strength))

    @pytest.mark.parametrize("dtype", [torch.uint8, torch.int32])
    def test_other_types_of_the_same_numbers(self, case, dtype):
        function, _ = case
        strength = torch.tensor([0, 1, 3, 30])
        assert torch.equal(function(noise_images(), strength.to(dtype)), function(noise_images(), strength))

    def test_an_empty_batch(self, case):
        function, strength = case
        assert function(noise_images(0), strength[:0]).shape == (0, 3, 32, 32)

    def test_only_images_with_a_strength_are_computed(self, case, monkeypatch):
        function, strength = case
        name, computed = {"blur": "_smooth", "jpeg": "_recode"}[function.__name__], []
        change = getattr(degrade, name)
        monkeypatch.setattr(degrade, name, lambda x, **more: computed.append(len(x)) or change(x, **more))
        function(noise_images(), strength)
        function(noise_images(), 0 * strength)
        assert computed == [3]

    def test_global_random_state_is_left_alone(self, case):
        function, strength = case
        state = torch.get_rng_state()
        function(noise_images(), strength)
        assert torch.equal(torch.get_rng_state(), state)

    def test_autocast_changes_nothing(self, case):
        function, strength = case
        expected = function(noise_images(), strength), low_resolution(noise_images(), 9)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(function(noise_images(), strength), expected[0])
            assert torch.equal(low_resolution(noise_images(), 9), expected[1])


class TestBlur:
    @pytest.mark.parametrize("size", [(64, 64), (33, 30), (16, 41), (5, 7), (1, 9), (1, 1)])
    def test_scipy_agrees_also_where_the_kernel_is_wider_than_the_image(self, size):
        sigma = torch.tensor([0.3, 1.0, 3.0, 10.0])
        images = noise_images(size=size)
        expected = [
            ndimage.gaussian_filter(image, (0, s, s))
            for image, s in zip(images.double().numpy(), sigma.double().tolist(), strict=True)
        ]
        np.testing.assert_allclose(blur(images, sigma), np.stack(expected), atol=1e-6)

    @pytest.mark.parametrize("size", [64, 65])
    @pytest.mark.parametrize("sigma", [0.7, 1.0, 2.0, 3.0])
    @pytest.mark.parametrize("half_periods", [1, 6, 20, 45])
    def test_a_cosine_is_scaled_by_the_gaussian_of_its_frequency(self, size, sigma, half_periods):
        # Even about both edges, as the mirrored border is: a wave without an end.
        frequency = half_periods / (2 * size)
        wave = 0.5 * torch.cos(2 * math.pi * frequency * (torch.arange(size) + 0.5))
        gain = math.exp(-2 * (math.pi * sigma * frequency) ** 2)
        # What is cut off beyond four sigma, and the first alias of the sampled kernel.
        tolerance = 1e-4 + math.exp(-2 * (math.pi * sigma * (1 - frequency)) ** 2)
        for direction in (wave.expand(size, size), wave[:, None].expand(size, size)):
            blurred = blur(whole(0.5 + direction), torch.tensor([sigma]))
            torch.testing.assert_close(blurred, whole(0.5 + gain * direction), atol=tolerance, rtol=0)

    @pytest.mark.parametrize("sigma, reach", [(0.12, 0), (0.2, 1), (0.5, 2), (1.0, 4), (2.1, 8)])
    def test_an_impulse_becomes_the_kernel(self, sigma, reach):
        impulse = torch.zeros(31, 33)
        impulse[15, 16] = 1
        expected = np.zeros((31, 33))
        weights = kernel(sigma, reach)
        expected[15 - reach : 16 + reach, 16 - reach : 17 + reach] = np.outer(weights, weights)
        blurred = blur(whole(impulse), torch.tensor([sigma]))[0, 0]
        np.testing.assert_allclose(blurred, expected, atol=1e-7)
        assert np.array_equal(blurred > 0, expected > 0)

    @pytest.mark.parametrize("size", [(64, 64), (33, 30), (5, 7)])
    def test_the_mean_is_kept(self, size):
        images = noise_images(size=size)
        blurred = blur(images, torch.tensor([0.4, 1.0, 3.0, 10.0]))
        torch.testing.assert_close(blurred.mean((2, 3)), images.mean((2, 3)), atol=1e-6, rtol=0)

    @pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
    def test_a_constant_stays_and_white_gets_no_whiter(self, value):
        flat = torch.full((40, 3, 33, 30), value)
        blurred = blur(flat, torch.linspace(0.25, 10, 40))
        torch.testing.assert_close(blurred, flat, atol=1e-6, rtol=0)
        assert blurred.max() <= 1

    def test_variances_of_two_blurs_add_up(self):
        images = noise_images()
        twice = blur(blur(images, torch.full((4,), 1.5)), torch.full((4,), 2.0))
        torch.testing.assert_close(twice, blur(images, torch.full((4,), 2.5)), atol=1e-4, rtol=0)

    def test_more_sigma_is_less_variance(self):
        images = noise_images(1).expand(4, -1, -1, -1)
        variance = blur(images, torch.tensor([0.0, 0.5, 1.0, 3.0])).var((1, 2, 3))
        assert (variance.diff() < 0).all()


class TestJpeg:
    @pytest.mark.parametrize("size", [(32, 32), (33, 30), (1, 9)])
    def test_pillow_by_hand_agrees(self, size):
        images, quality = noise_images(size=size), torch.tensor([1, 30, 96, 100])
        for image, q, result in zip(images, quality.tolist(), jpeg(images, quality), strict=True):
            file = io.BytesIO()
            pixels = np.round(image.numpy() * 255).astype(np.uint8)
            # Without `subsampling`: Pillow's default is what is promised.
            Image.fromarray(np.moveaxis(pixels, 0, -1)).save(file, "JPEG", quality=q)
            expected = np.moveaxis(np.asarray(Image.open(file)), -1, 0)
            np.testing.assert_array_equal(result * 255, expected.astype(np.float32))

    def test_pixels_are_rounded_first(self):
        levels = noise_images().mul(255).round()
        nudge = torch.where(noise_images(seed=2) < 0.5, -0.49, 0.49)
        quality = torch.tensor([30, 50, 90, 100])
        nudged = ((levels + nudge) / 255).clamp(0, 1)
        assert torch.equal(jpeg(nudged, quality), jpeg(levels / 255, quality))

    def test_it_gives_one_of_256_levels(self):
        levels = jpeg(noise_images(), torch.tensor([5, 50, 90, 100])) * 255
        torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)

    def test_grey_survives_the_best_quality_and_suffers_from_less(self):
        grey = noise_images(1)[:, :1].expand(4, 3, 32, 32)
        coded = jpeg(grey, torch.tensor([100, 90, 60, 20]))
        error = (coded - grey).square().mean((1, 2, 3)).sqrt()
        assert error[0] < 1 / 255
        assert (error.diff() > 0.005).all()

    def test_chroma_has_half_the_resolution(self):
        orange, blue = torch.tensor([0.6, 0.5, 0.4]), torch.tensor([0.4, 0.5, 0.6])
        stripes = torch.stack([orange, blue], -1).repeat(1, 16)[None, :, None].expand(1, 3, 32, 32)
        coded = jpeg(stripes, torch.tensor([100]))
        contrast = (coded[..., 0::2] - coded[..., 1::2]).mean((0, 2, 3))
        luma = 0.2 * (0.299 - 0.114)  # of the stripes; what is left of their colour is grey
        torch.testing.assert_close(contrast, torch.full((3,), luma), atol=0.005, rtol=0)

    def test_threads_change_nothing(self):
        images, quality = noise_images(8), torch.arange(30, 102, 9)
        expected = jpeg(images, quality)
        torch.set_num_threads(2)
        try:
            assert torch.equal(jpeg(images, quality), expected)
        finally:
            torch.set_num_threads(1)

    def test_images_that_need_a_gradient(self):
        images = noise_images().requires_grad_()
        assert torch.equal(jpeg(images, QUALITY), jpeg(noise_images(), QUALITY))


class TestLowResolution:
    @pytest.mark.parametrize("size, side", [((64, 64), 32), ((33, 30), 11), ((16, 41), 16), ((5, 7), 1)])
    def test_pillow_agrees(self, size, side):
        images = noise_images(2, size)
        planes = [Image.fromarray(plane.numpy()) for plane in images.flatten(0, 1)]
        bilinear = Image.Resampling.BILINEAR
        expected = [np.asarray(p.resize((side, side), bilinear).resize(size[::-1], bilinear)) for p in planes]
        result = low_resolution(images, side).flatten(0, 1)
        np.testing.assert_allclose(result, np.stack(expected), atol=1e-5)

    def test_its_own_size_is_nothing(self):
        assert torch.equal(low_resolution(noise_images(), 32), noise_images())

    @pytest.mark.parametrize("side", range(1, 31))
    def test_a_constant_stays_and_white_gets_no_whiter(self, side):
        for value in (0.3, 1.0):
            flat = torch.full((1, 3, 33, 30), value)
            low = low_resolution(flat, side)
            torch.testing.assert_close(low, flat, atol=1e-6, rtol=0)
            assert low.max() <= 1

    @pytest.mark.parametrize(
        "frequency, low, high", [(1 / 64, 0.95, 1.0), (1 / 4, 0.0, 0.35), (1 / 2, 0.0, 0.05)]
    )
    def test_what_the_smaller_grid_cannot_hold_is_gone(self, frequency, low, high):
        wave = 0.5 + 0.5 * torch.cos(2 * math.pi * frequency * (torch.arange(64) + 0.25)).expand(64, 64)
        kept = low_resolution(whole(wave), 24)[..., 8:-8].std() / wave[:, 8:-8].std()
        assert low <= kept <= high


TWO_IMAGES = torch.zeros(2, 3, 8, 9)
ERRORS = {
    "dtype": (blur, (TWO_IMAGES.half(), SIGMA[:2]), "images must be float32 .* got float16"),
    "one image": (jpeg, (TWO_IMAGES[0], QUALITY[:2]), r"got float32 of shape \(3, 8, 9\)"),
    "grey": (low_resolution, (TWO_IMAGES[:, :1], 4), r"got float32 of shape \(2, 1, 8, 9\)"),
    "sigmas of another batch": (blur, (TWO_IMAGES, SIGMA), r"sigma must have shape \(2,\), got \(4,\)"),
    "negative sigma": (
        blur,
        (TWO_IMAGES, torch.tensor([1, -0.5])),
        "sigma must be within 0 to 100, got -0.5",
    ),
    "large sigma": (blur, (TWO_IMAGES, torch.tensor([1, 101.0])), "sigma must be within 0 to 100, got 101"),
    "undefined sigma": (blur, (TWO_IMAGES, torch.tensor([1, math.nan])), "within 0 to 100, got nan"),
    "bool sigma": (blur, (TWO_IMAGES, SIGMA[:2] > 0), "sigma must be real numbers, got bool"),
    "qualities of another batch": (
        jpeg,
        (TWO_IMAGES, QUALITY[:1]),
        r"quality must have shape \(2,\), got \(1,\)",
    ),
    "broken quality": (jpeg, (TWO_IMAGES, SIGMA[:2]), "quality must be integers, got float32"),
    "high quality": (jpeg, (TWO_IMAGES, torch.tensor([1, 101])), "quality must be within 0 to 100, got 101"),
    "negative quality": (
        jpeg,
        (TWO_IMAGES, torch.tensor([1, -1])),
        "quality must be within 0 to 100, got -1",
    ),
    "no pixel": (low_resolution, (TWO_IMAGES, 0), "size must be within 1 to 8 for 8 x 9 pixels, got 0"),
    "enlargement": (low_resolution, (TWO_IMAGES, 9), "size must be within 1 to 8 for 8 x 9 pixels, got 9"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_name_the_argument_and_what_is_allowed(name):
    function, arguments, message = ERRORS[name]
    with pytest.raises(ValueError, match=message):
        function(*arguments)
