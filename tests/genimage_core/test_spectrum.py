import math

import numpy as np
import pytest
import torch
from scipy import stats

from genimage_core import spectrum

CPU = torch.device("cpu")
SIZES = [(32, 32), (33, 31), (16, 40), (31, 32), (32, 31), (2, 2), (1, 1)]


@pytest.fixture(params=SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def size(request):
    return request.param


def seeds(n, start=0):
    return torch.randint(2**31, (n,), generator=torch.Generator().manual_seed(start))


def scramble(word):
    """`fmix32` of MurmurHash3, word by word."""
    word ^= word >> 16
    word = word * 0x85EBCA6B % 2**32
    word ^= word >> 13
    word = word * 0xC2B2AE35 % 2**32
    return word ^ word >> 16


def conjugate_bin(row, column, height, width):
    return -row % height, -column % width


def test_radius_is_that_of_the_full_spectrum(size):
    height, width = size
    full = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
    grid = spectrum.radial_frequency(height, width, CPU)
    assert grid.shape == (height, width // 2 + 1)
    assert grid.dtype == torch.float32
    np.testing.assert_allclose(grid, full[:, : width // 2 + 1], rtol=1e-7)


def test_radius_reaches_the_corner_exactly():
    grid = spectrum.radial_frequency(32, 32, CPU)
    assert grid.max() == torch.tensor(spectrum.CORNER)
    assert grid[8, 0] == 0.25


def test_two_bins_share_an_index_only_if_they_are_conjugate(size):
    height, width = size
    index = spectrum.pair_index(height, width, CPU)
    members = {}
    for row in range(height):
        for column in range(width // 2 + 1):
            members.setdefault(int(index[row, column]), []).append((row, column))
    for first, *others in members.values():
        assert others in ([], [conjugate_bin(*first, height, width)])
    kept = {(row, column) for row in range(height) for column in range(width // 2 + 1)}
    shared = sum(conjugate_bin(*one, height, width) in kept - {one} for one in kept)
    assert sum(len(pair) == 2 for pair in members.values()) == shared / 2


def test_sign_is_odd_and_zero_where_a_bin_is_its_own_conjugate(size):
    height, width = size
    sign = spectrum.pair_sign(height, width, CPU)
    for row in range(height):
        for column in range(width // 2 + 1):
            mirror = conjugate_bin(row, column, height, width)
            if mirror == (row, column):
                assert sign[row, column] == 0
            elif mirror[1] == column:
                assert sign[row, column] == -sign[mirror] != 0
            else:
                assert sign[row, column] == 1


def test_every_spectrum_built_from_the_fields_is_that_of_a_real_image(size):
    height, width = size
    noise, shift = spectrum.normal_pair(spectrum.random_bits(seeds(4), height, width))
    phase = shift * spectrum.pair_sign(height, width, CPU)
    built = torch.polar((0.5 * noise).exp(), phase)
    back = torch.fft.rfft2(torch.fft.irfft2(built, s=size))
    torch.testing.assert_close(back, built, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("stream", [0, 1])
def test_bits_are_the_published_hash(size, stream):
    height, width = size
    chosen = seeds(2)
    bits = spectrum.random_bits(chosen, height, width, stream)
    index = spectrum.pair_index(height, width, CPU)
    assert bits.shape == (2, 1, height, width // 2 + 1)
    for image, row, column in [(0, 0, 0), (1, 0, 0), (0, height - 1, width // 2), (1, height // 2, 0)]:
        counter = int(index[row, column]) + stream * index.numel()
        word = scramble(counter * 0x9E3779B1 % 2**32 ^ int(chosen[image]))
        assert int(bits[image, 0, row, column]) % 2**32 == word


def test_scramble_gives_the_known_values():
    # Of the reference implementation: fmix32(1) and fmix32(0).
    assert scramble(1) == 0x514E28B7
    assert scramble(0) == 0


def test_bits_of_an_image_do_not_depend_on_the_batch():
    many = spectrum.random_bits(seeds(5), 33, 32)
    assert torch.equal(spectrum.random_bits(seeds(5)[3:4], 33, 32), many[3:4])


def test_words_differ_between_pairs_and_streams():
    words = torch.cat([spectrum.random_bits(seeds(1), 64, 64, stream).flatten() for stream in (0, 1)])
    pairs = len(spectrum.pair_index(64, 64, CPU).unique())
    assert len(words.unique()) == 2 * pairs


def test_normal_fields_are_normal_and_uncorrelated():
    first, second = spectrum.normal_pair(spectrum.random_bits(seeds(16), 65, 64))
    # Columns 1 to 31 are paired with bins that are not kept, so all their values are independent.
    first, second = first[..., 1:32], second[..., 1:32]
    for field in (first, second):
        assert stats.kstest(field.flatten().numpy(), "norm").pvalue > 0.01
    neighbours = [
        (first, second),
        (first[..., 1:], first[..., :-1]),
        (first[..., 1:, :], first[..., :-1, :]),
        (first[1:], first[:-1]),
        (second[1:], second[:-1]),
        (first.square(), second.square()),
    ]
    for one, other in neighbours:
        assert abs(stats.pearsonr(one.flatten(), other.flatten()).statistic) < 4 / math.sqrt(one.numel())


def test_normal_fields_of_neighbouring_seeds_are_uncorrelated():
    first, _ = spectrum.normal_pair(spectrum.random_bits(torch.arange(64), 33, 32))
    correlation = np.corrcoef(first[..., 1:16].flatten(1).numpy()) - np.eye(64)
    assert np.abs(correlation).max() < 5 / math.sqrt(33 * 15)


def test_quantile_table_has_unit_variance_and_reaches_four_sigma():
    every_word = torch.arange(2**16, dtype=torch.int32)
    low, high = spectrum.normal_pair(every_word)
    assert low.double().std(correction=0) == pytest.approx(1, abs=1e-6)
    assert low.double().mean() == pytest.approx(0, abs=1e-6)
    assert 4.2 < low.max() < 4.4
    assert (high == high[0]).all()


def test_uniform_lies_in_its_range_and_is_uniform():
    extremes = spectrum.uniform(torch.tensor([0, -1, 2**31 - 1], dtype=torch.int32))
    assert extremes[0] == 0
    assert extremes.max() < 1
    chance = spectrum.uniform(spectrum.random_bits(seeds(8), 65, 64))[..., 1:32]
    assert stats.kstest(chance.flatten().numpy(), "uniform").pvalue > 0.01


def test_masks_keep_what_they_say(size):
    frequency = spectrum.radial_frequency(*size, CPU)
    at, width = torch.tensor([0.0, 0.25, 0.4, 0.8]), torch.tensor([0.0, 0.1, 0.5, 0.2])
    low = spectrum.low_pass(frequency, at)
    high = spectrum.high_pass(frequency, at)
    band = spectrum.ring(frequency, at, width)
    assert low.shape == high.shape == band.shape == (4, 1, *frequency.shape)
    for i in range(4):
        assert torch.equal(low[i, 0], frequency <= at[i])
        assert torch.equal(high[i, 0], ~((frequency > 0) & (frequency < at[i])))
        removed = (frequency > 0) & (frequency > at[i] - width[i] / 2) & (frequency < at[i] + width[i] / 2)
        # A bin on the very edge of the band may round to either side.
        edge = ((frequency - at[i]).abs() - width[i] / 2).abs() < 1e-6
        assert torch.equal(band[i, 0] | edge, ~removed | edge)
    for mask in (low, high, band):
        assert mask[:, 0, 0, 0].all()


def test_power_obeys_parseval(size):
    height, width = size
    images = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))
    power = spectrum.power_spectrum(images)
    twice = torch.full((width // 2 + 1,), 2.0)
    twice[0] = 1
    if width % 2 == 0:
        twice[-1] = 1
    torch.testing.assert_close((power * twice).sum((-2, -1)), images.square().sum((-2, -1)))


def test_radial_power_of_white_noise_is_its_variance():
    images = torch.randn(32, 3, 64, 48, generator=torch.Generator().manual_seed(2)) * 0.3
    frequency, power = spectrum.radial_power(images)
    assert frequency.shape == (24,)
    assert power.shape == (32, 3, 24)
    torch.testing.assert_close(power.mean((0, 1)), torch.full((24,), 0.09), rtol=0.08, atol=0)


def test_radial_power_is_the_mean_over_the_full_spectrum():
    images = torch.rand(33, 32, generator=torch.Generator().manual_seed(3))
    full = np.abs(np.fft.fft2(images.double().numpy())) ** 2 / (33 * 32)
    radius = np.hypot(np.fft.fftfreq(33)[:, None], np.fft.fftfreq(32))
    _, power = spectrum.radial_power(images, rings=5)
    for ring in range(5):
        inside = (radius > ring / 10 + 1e-9) & (radius <= (ring + 1) / 10 + 1e-9)
        assert power[ring] == pytest.approx(full[inside].mean(), rel=1e-4)


@pytest.mark.parametrize("height, width", [(32, 32), (33, 31), (16, 40), (64, 200)])
def test_no_ring_is_empty(height, width):
    assert spectrum.radial_power(torch.rand(height, width))[1].isfinite().all()


@pytest.mark.parametrize("rings", [0, 17])
def test_radial_power_refuses_rings_that_may_be_empty(rings):
    with pytest.raises(ValueError, match="rings must be within 1 to 16 for 33 x 32 pixels, got"):
        spectrum.radial_power(torch.rand(33, 32), rings)


def test_picture_has_zero_frequency_in_the_middle(size):
    picture = spectrum.log_amplitude_picture(torch.full((3, *size), 0.5))
    assert picture.shape == (3, *size)
    assert picture[0].argmax() == (size[0] // 2) * size[1] + size[1] // 2


def test_grids_made_under_inference_mode_serve_autograd():
    with torch.inference_mode():
        grid = spectrum.radial_frequency(7, 9, CPU)
    weights = torch.ones_like(grid, requires_grad=True)
    (weights * grid).sum().backward()
    assert torch.equal(weights.grad, grid)
