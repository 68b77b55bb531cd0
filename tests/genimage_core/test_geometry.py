import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from genimage_core import spectrum
from genimage_core.geometry import flip, mirrored, rotate, translate

SIZES = [(32, 32), (33, 33), (33, 30), (16, 41), (1, 1), (1, 9), (8, 1)]
ACTIVE = [True, False, True, True]  # the second image has no strength


def noise_images(n=4, size=(32, 32), seed=1):
    return torch.rand(n, 3, *size, generator=torch.Generator().manual_seed(seed))


def smooth_images(n=4, size=(32, 32), sigma=4.0):
    """Noise with little power beyond 0.1 cycles per pixel."""
    pixels = ndimage.gaussian_filter(noise_images(n, size).numpy(), (0, 0, sigma, sigma), mode="reflect")
    low, high = pixels.min(), pixels.max()
    return torch.from_numpy((pixels - low) / (high - low))


def coordinates(height, width):
    """Row and column of every pixel, counted from the centre of the image."""
    rows = torch.arange(height)[:, None] - (height - 1) / 2
    return rows, torch.arange(width) - (width - 1) / 2


def same(value, n=4, dtype=torch.float32):
    return torch.full((n,), value, dtype=dtype)


STRENGTHS = {
    "flip": (flip, torch.tensor([True, False, False, True]), torch.tensor([False, False, True, True])),
    "rotate": (rotate, torch.tensor([12.5, 0.0, -170.0, 33.0])),
    "quarter": (rotate, torch.tensor([90.0, 0.0, 180.0, -90.0])),
    "translate": (translate, torch.tensor([3, 0, 0, -70]), torch.tensor([-5, 0, 90, 1])),
}


@pytest.fixture(params=STRENGTHS)
def case(request):
    return STRENGTHS[request.param]


class TestContract:
    def test_zero_strength_is_bit_for_bit_the_image(self, case):
        function, *strengths = case
        images = noise_images()
        assert torch.equal(function(images, *strengths)[1], images[1])
        nothing = [torch.zeros_like(strength) for strength in strengths]
        assert torch.equal(function(images, *nothing), images)

    def test_other_images_change(self, case):
        function, *strengths = case
        images = noise_images()
        changed = (function(images, *strengths) != images).flatten(1).any(1)
        assert changed.tolist() == ACTIVE

    @pytest.mark.parametrize("size", SIZES)
    def test_shape_type_and_range(self, case, size):
        function, *strengths = case
        images = noise_images(size=size)
        before = images.clone()
        result = function(images, *strengths)
        assert (result.shape, result.dtype, result.device) == (images.shape, images.dtype, images.device)
        assert result.isfinite().all()
        assert 0 <= result.min() <= result.max() <= 1
        assert torch.equal(images, before)

    def test_the_result_shares_no_memory_with_the_input(self, case):
        function, *strengths = case
        for values in (strengths, [torch.zeros_like(strength) for strength in strengths]):
            images = noise_images()
            function(images, *values).zero_()
            assert torch.equal(images, noise_images())

    @pytest.mark.parametrize("size", [(32, 32), (33, 30)])
    def test_an_image_depends_on_itself_only(self, case, size):
        function, *strengths = case
        images = noise_images(size=size)
        together = function(images, *strengths)
        for row in range(4):
            alone = function(images[row : row + 1], *(strength[row : row + 1] for strength in strengths))
            assert torch.equal(alone[0], together[row])

    def test_memory_layout_does_not_matter(self, case):
        function, *strengths = case
        images = noise_images(size=(33, 30))
        expected = function(images, *strengths)
        torch.testing.assert_close(
            function(images.to(memory_format=torch.channels_last), *strengths), expected
        )
        torch.testing.assert_close(function(images.mT.contiguous().mT, *strengths), expected)

    @pytest.mark.parametrize("whole, real", [(torch.int32, torch.float64), (torch.int16, torch.int64)])
    def test_other_types_of_the_same_numbers(self, whole, real):
        rows, columns, degrees = torch.tensor([[3, 0, 0, -70], [-5, 0, 90, 1], [12, 0, -170, 90]])
        images = noise_images()
        moved = translate(images, rows, columns)
        assert torch.equal(translate(images, rows.to(whole), columns.to(whole)), moved)
        assert torch.equal(rotate(images, degrees.to(real)), rotate(images, degrees.float()))

    def test_an_empty_batch(self, case):
        function, *strengths = case
        assert function(noise_images(0), *(strength[:0] for strength in strengths)).shape == (0, 3, 32, 32)

    def test_global_random_state_is_left_alone(self, case):
        function, *strengths = case
        state = torch.get_rng_state()
        function(noise_images(), *strengths)
        assert torch.equal(torch.get_rng_state(), state)

    def test_autocast_changes_nothing(self, case):
        function, *strengths = case
        expected = function(noise_images(), *strengths)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(function(noise_images(), *strengths), expected)


class TestMirror:
    @pytest.mark.parametrize("size", [1, 2, 5, 8])
    def test_it_is_the_symmetric_border_of_numpy(self, size):
        reach = 3 * size + 1
        expected = np.pad(np.arange(size), reach, mode="symmetric")
        np.testing.assert_array_equal(mirrored(torch.arange(-reach, size + reach), size), expected)


class TestFlip:
    def test_each_image_is_flipped_as_told(self):
        images = noise_images(size=(33, 30))
        horizontal, vertical = torch.tensor([[True, True, False, False], [True, False, True, False]])
        pixels = images.numpy()
        expected = [pixels[0, :, ::-1, ::-1], pixels[1, :, :, ::-1], pixels[2, :, ::-1], pixels[3]]
        np.testing.assert_array_equal(flip(images, horizontal, vertical), np.stack(expected))

    def test_twice_is_nothing(self):
        images, chosen = noise_images(size=(7, 10)), torch.tensor(ACTIVE)
        assert torch.equal(flip(flip(images, chosen, ~chosen), chosen, ~chosen), images)


class TestRotate:
    @pytest.mark.parametrize("size", [(32, 32), (33, 33), (33, 30), (16, 41), (9, 64)])
    def test_scipy_agrees(self, size):
        images, degrees = noise_images(size=size), torch.tensor([17.3, -44.0, 90.5, 170.0])
        expected = [
            ndimage.rotate(image, angle, axes=(2, 1), reshape=False, order=1, mode="reflect")
            for image, angle in zip(images.double().numpy(), degrees.tolist(), strict=True)
        ]
        np.testing.assert_allclose(rotate(images, degrees), np.stack(expected), atol=3e-5)

    @pytest.mark.parametrize("size", [(32, 32), (33, 33), (224, 224)])
    @pytest.mark.parametrize(
        "degrees, quarters", [(90, 1), (180, 2), (270, 3), (-90, 3), (-180, 2), (360, 0)]
    )
    def test_quarter_turns_of_a_square_only_move_pixels(self, size, degrees, quarters):
        images = noise_images(2, size)
        assert torch.equal(rotate(images, same(degrees, 2)), torch.rot90(images, quarters, (2, 3)))

    @pytest.mark.parametrize("size", [(16, 41), (33, 30)])
    def test_half_a_turn_only_moves_pixels(self, size):
        images = noise_images(size=size)
        assert torch.equal(rotate(images, same(180.0)), images.flip(2, 3))

    @pytest.mark.parametrize("quarters", [0, 1, 2, 3])
    def test_quarter_turns_are_no_jump(self, quarters):
        images = noise_images(size=(64, 64))
        near = rotate(images, same(90 * quarters + 1e-4))
        assert not torch.equal(near, torch.rot90(images, quarters, (2, 3)))
        torch.testing.assert_close(near, torch.rot90(images, quarters, (2, 3)), atol=3e-4, rtol=0)

    def test_what_is_round_stays(self):
        rows, columns = coordinates(64, 64)
        disc = torch.exp(-(rows**2 + columns**2) / (2 * 10.0**2)).expand(4, 3, 64, 64)
        turned = rotate(disc, torch.tensor([10.0, 45.0, 120.0, -77.0]))
        # Bilinear interpolation is off by at most 1/8 of the sum of both curvatures, 1/100 each.
        inside = (rows**2 + columns**2) < 31**2
        torch.testing.assert_close(turned[..., inside], disc[..., inside], atol=2.6e-3, rtol=0)

    @pytest.mark.parametrize("degrees", [20.0, 60.0, -35.0])
    def test_a_wave_turns_counter_clockwise(self, degrees):
        rows, columns = coordinates(65, 65)
        frequency, angle = 1 / 20, math.radians(degrees)
        wave = 0.5 + 0.5 * torch.cos(2 * math.pi * frequency * columns).expand(1, 3, 65, 65)
        across = math.cos(angle) * columns - math.sin(angle) * rows
        expected = 0.5 + 0.5 * torch.cos(2 * math.pi * frequency * across).expand(1, 3, 65, 65)
        inside = (slice(None), slice(None), slice(12, -12), slice(12, -12))
        turned = rotate(wave, same(degrees, 1))
        torch.testing.assert_close(turned[inside], expected[inside], atol=0.5 * 0.025, rtol=0)

    def test_there_and_back(self):
        images = smooth_images(size=(65, 65))
        degrees = torch.tensor([5.0, 30.0, -45.0, 100.0])
        back = rotate(rotate(images, degrees), -degrees)
        torch.testing.assert_close(back[..., 16:49, 16:49], images[..., 16:49, 16:49], atol=0.01, rtol=0)

    @pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
    def test_a_constant_stays_and_white_gets_no_whiter(self, value):
        flat = torch.full((40, 3, 33, 30), value)
        turned = rotate(flat, torch.linspace(-179, 179, 40))
        torch.testing.assert_close(turned, flat, atol=1e-6, rtol=0)
        assert turned.max() <= 1

    def test_it_is_a_low_pass_but_for_quarter_turns(self):
        images = noise_images(8, (64, 64))
        centres, before = spectrum.radial_power(images)
        power = [
            spectrum.radial_power(rotate(images, same(angle, 8)))[1].mean((0, 1)) for angle in (30.0, 90.0)
        ]
        ratio, unchanged = (after / before.mean((0, 1)) for after in power)
        assert ratio[centres > 0.4].max() < 0.5 < 0.9 < ratio[(centres > 0.05) & (centres < 0.1)].mean()
        torch.testing.assert_close(unchanged, torch.ones_like(unchanged))


class TestTranslate:
    @pytest.mark.parametrize("size", [(32, 32), (33, 30), (5, 8), (1, 3)])
    def test_numpy_agrees(self, size):
        images = noise_images(size=size)
        rows, columns = torch.tensor([2, -1, 0, 31]), torch.tensor([-3, 4, 33, 0])
        reach = 40
        border = ((0, 0), (reach, reach), (reach, reach))
        for row, image in enumerate(translate(images, rows, columns)):
            padded = np.pad(images[row].numpy(), border, mode="symmetric")
            top, left = reach - int(rows[row]), reach - int(columns[row])
            expected = padded[:, top : top + size[0], left : left + size[1]]
            np.testing.assert_array_equal(image, expected)

    def test_positive_is_down_and_right(self):
        images = torch.zeros(1, 3, 9, 8)
        images[..., 4, 3] = 1
        moved = translate(images, torch.tensor([4]), torch.tensor([-1]))
        assert moved[0, 0].nonzero().tolist() == [[8, 2]]

    def test_there_and_back_in_the_interior(self):
        images = noise_images()
        rows, columns = torch.tensor([3, 0, -5, 8]), torch.tensor([0, 7, 8, -2])
        back = translate(translate(images, rows, columns), -rows, -columns)
        assert torch.equal(back[..., 8:-8, 8:-8], images[..., 8:-8, 8:-8])

    def test_the_mirror_repeats_after_twice_the_side(self):
        images = noise_images(size=(9, 8))
        assert torch.equal(
            translate(images, same(18, dtype=torch.int64), same(-16, dtype=torch.int64)), images
        )


YES, ONE, THREE = torch.ones(2, dtype=torch.bool), torch.ones(2, dtype=torch.int64), torch.ones(3)
TWO_IMAGES = torch.zeros(2, 3, 8, 8)
ERRORS = {
    "dtype": (flip, (TWO_IMAGES.double(), YES, YES), r"images must be float32 .* got float64"),
    "grey": (rotate, (TWO_IMAGES[:, :1], torch.ones(2)), r"\(B, 3, H, W\).* got .*\(2, 1, 8, 8\)"),
    "one image": (translate, (TWO_IMAGES[0], ONE, ONE), r"got float32 of shape \(3, 8, 8\)"),
    "no pixels": (rotate, (TWO_IMAGES[..., :0], torch.ones(2)), r"H and W at least 1"),
    "flip of integers": (flip, (TWO_IMAGES, YES, ONE), "vertical must be bool, got int64"),
    "flip of another batch": (
        flip,
        (TWO_IMAGES, YES[:1], YES),
        r"horizontal must have shape \(2,\), got \(1,\)",
    ),
    "angles of another batch": (rotate, (TWO_IMAGES, THREE), r"degrees must have shape \(2,\), got \(3,\)"),
    "bool angle": (rotate, (TWO_IMAGES, YES), "degrees must be real numbers, got bool"),
    "large angle": (rotate, (TWO_IMAGES, torch.tensor([0, -361.0])), "within -360 to 360, got -361"),
    "undefined angle": (rotate, (TWO_IMAGES, torch.tensor([0, math.nan])), "within -360 to 360, got nan"),
    "half a pixel": (translate, (TWO_IMAGES, ONE, ONE / 2), "columns must be integers, got float32"),
    "bool pixels": (translate, (TWO_IMAGES, YES, ONE), "rows must be integers, got bool"),
    "scalar": (translate, (TWO_IMAGES, torch.tensor(1), ONE), r"rows must have shape \(2,\), got \(\)"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_name_the_argument_and_what_is_allowed(name):
    function, arguments, message = ERRORS[name]
    with pytest.raises(ValueError, match=message):
        function(*arguments)
