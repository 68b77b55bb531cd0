import numpy as np
import pytest
from PIL import Image

from genimage_core.data.crop import cut_square


def picture(height, width, seed=0, low=0):
    return np.random.default_rng(seed).integers(low, 256, (height, width, 3), dtype=np.uint8)


def mirrored(length, index):
    """Where reflection without repeating the edge finds its pixel."""
    if length == 1:
        return 0
    index %= 2 * (length - 1)
    return min(index, 2 * (length - 1) - index)


@pytest.mark.parametrize("size", [32, 33])
@pytest.mark.parametrize("height", [1, 3, 20, 31, 32, 33, 51])
@pytest.mark.parametrize("width", [1, 7, 20, 32, 34, 50])
def test_every_pixel_is_where_reflection_about_the_centre_puts_it(height, width, size):
    pixels = picture(height, width)
    # One rule for what is cut off and what is added, so that squares of two sizes have one centre.
    top, left = ((n - size) // 2 for n in (height, width))
    expected = [
        [pixels[mirrored(height, top + row), mirrored(width, left + column)] for column in range(size)]
        for row in range(size)
    ]
    got = cut_square(Image.fromarray(pixels), size)
    assert got.flags.c_contiguous and got.dtype == np.uint8
    np.testing.assert_array_equal(got, np.array(expected))


@pytest.mark.parametrize("margin", [2, 8])
@pytest.mark.parametrize("height", range(29, 44))
@pytest.mark.parametrize("width", [1, 32, 33, 37, 60])
def test_a_larger_square_has_the_smaller_one_in_its_middle(height, width, margin):
    image = Image.fromarray(picture(height, width))
    inner = slice(margin // 2, 32 + margin // 2)
    np.testing.assert_array_equal(cut_square(image, 32 + margin)[inner, inner], cut_square(image, 32))


def test_a_small_image_gets_no_black_border():
    got = cut_square(Image.fromarray(picture(128, 128, low=40)), 224)
    assert got.shape == (224, 224, 3) and got.min() >= 40


@pytest.mark.parametrize(("height", "width"), [(40, 60), (60, 40), (41, 97), (20, 30), (17, 90), (31, 31)])
def test_a_resize_brings_the_short_side_to_size_and_keeps_the_proportions(height, width):
    # On a linear ramp a resize is another ramp, whose steps are the scale.
    ramp = np.arange(width) / width * 200 + 20
    image = Image.fromarray(np.tile(ramp[None, :, None], (height, 1, 3)).round().astype(np.uint8))
    got = cut_square(image, 32, resize=True).astype(float)
    scale = min(height, width) / 32
    slope = np.polyfit(np.arange(6, 26), got[16, 6:26, 0], 1)[0]
    assert got.shape == (32, 32, 3)
    assert slope == pytest.approx(200 / width * scale, rel=0.06)
    middle = 20 + 100 * (width - 1) / width
    assert got[16, 15:17, 0].mean() == pytest.approx(middle, abs=0.5 + 100 / width * scale)


def test_a_resize_is_antialiased_and_differs_from_a_crop():
    checks = np.indices((128, 128)).sum(0) % 2 * 255
    image = Image.fromarray(np.repeat(checks[..., None], 3, 2).astype(np.uint8))
    inner = cut_square(image, 32, resize=True)[2:-2, 2:-2].astype(float)
    assert abs(inner - 127.5).max() < 8  # every pixel the mean of many, no alias of the pattern
    assert set(np.unique(cut_square(image, 32))) == {0, 255}


@pytest.mark.parametrize(("height", "width"), [(40, 60), (61, 40), (41, 197), (20, 300), (17, 90), (31, 31)])
def test_a_resize_is_that_of_the_whole_image_and_then_a_crop(height, width):
    # Little contrast, so that nothing is cut off between the two passes, whose order is Pillow's affair.
    image = Image.fromarray(picture(height, width) // 4 + 96)
    scale = 32 / min(height, width)
    whole = np.asarray(image.resize((round(width * scale), round(height * scale)), Image.Resampling.BICUBIC))
    top, left = ((n - 32) // 2 for n in whole.shape[:2])
    expected = whole[top : top + 32, left : left + 32].astype(int)
    assert abs(cut_square(image, 32, resize=True) - expected).max() <= 1


def test_a_very_long_image_is_resized_without_its_ends():
    got = cut_square(Image.fromarray(picture(1, 65_000)), 224, resize=True)  # 8.5 GB as a whole
    assert got.shape == (224, 224, 3)


def test_what_has_the_size_already_is_not_resized():
    pixels = picture(32, 41)
    np.testing.assert_array_equal(cut_square(Image.fromarray(pixels), 32, resize=True), pixels[:, 4:36])
