import math

import numpy as np
import pytest
import torch

from genimage_core import spectra

SIZES = [(32, 32), (33, 31), (16, 40), (31, 32)]
EULER = 0.5772156649015329


@pytest.fixture(params=SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def size(request):
    return request.param


def noise(*shape, seed=0, spread=0.1):
    return torch.from_numpy(np.random.default_rng(seed).normal(0.5, spread, shape))


def brute_force(image):
    """The same from the definitions, with NumPy's transform of the whole plane, in dB."""
    height, width = image.shape
    window = np.outer(
        0.5 - 0.5 * np.cos(2 * np.pi * np.arange(height) / height),
        0.5 - 0.5 * np.cos(2 * np.pi * np.arange(width) / width),
    )
    rest = (image - (image * window).sum() / window.sum()) * window
    power = np.abs(np.fft.fft2(rest)) ** 2 / (window**2).sum()
    return 10 * np.log10(np.maximum(power, spectra.SMALLEST_POWER))


def brute_rings(plane, rings):
    height, width = plane.shape
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
    power, step = 10 ** (plane / 10), 0.5 / rings
    members = [(radius > i * step + 1e-9) & (radius <= (i + 1) * step + 1e-9) for i in range(rings)]
    return 10 * np.log10([power[inside].mean() for inside in members])


def test_the_plane_is_that_of_numpy(size):
    image = noise(*size)
    expected = brute_force(image.numpy())[:, : size[1] // 2 + 1]
    got = spectra.log_power(image).numpy()
    np.testing.assert_allclose(got.ravel()[1:], expected.ravel()[1:], atol=1e-6)


def test_rings_are_means_of_the_power_in_them(size):
    image = noise(*size)
    centres, got = spectra.radial_log_power(image, 6)
    np.testing.assert_allclose(centres, (np.arange(6) + 0.5) / 12, rtol=1e-6)
    np.testing.assert_allclose(got, brute_rings(brute_force(image.numpy()), 6), atol=0.01)


def wave(height, width, row, column, amplitude=0.25):
    rows, columns = torch.arange(height)[:, None].double(), torch.arange(width).double()
    return 0.5 + amplitude * torch.cos(2 * math.pi * (row * rows / height + column * columns / width))


def test_a_plane_wave_covers_its_bin_and_the_neighbours_of_the_window():
    plane = spectra.log_power(wave(64, 64, 5, 20))
    floor = 10 * math.log10(spectra.SMALLEST_POWER)
    around = plane[4:7, 19:22].clone()
    # amplitude a: |X| = a N sum(w) / 2 / rms(w); sum(w) = 1/4, rms(w) = 3/8; a neighbour has half of it.
    peak = 10 * math.log10((0.25 * 64 / 2 / 4 / (3 / 8)) ** 2)
    half = 20 * math.log10(2)
    drop = torch.tensor([[2 * half, half, 2 * half], [half, 0, half], [2 * half, half, 2 * half]])
    torch.testing.assert_close(around, peak - drop.double(), atol=1e-6, rtol=0)
    plane[4:7, 19:22] = floor
    assert torch.all(plane == floor)


def test_the_ring_of_a_plane_wave_stands_out():
    centres, power = spectra.radial_log_power(wave(64, 64, 12, 16))  # |f| = 20 / 64
    assert abs(float(centres[power.argmax()]) - 20 / 64) < 1.5 / 64
    assert power.max() - power.sort().values[-6] > 50


def test_white_noise_is_flat_at_its_variance():
    images = noise(400, 32, 32, spread=0.1)
    plane = spectra.log_power(images).mean(0)
    inner = plane[2:-1, 2:-2]  # next to f = 0 the mean that was taken off is missing
    level = -20 - 10 * EULER / math.log(10)  # mean of the log of an exponential variable
    assert abs(float(inner.mean()) - level) < 0.05
    assert float(inner.std()) < 0.4  # 5.6 dB / sqrt(400) is 0.28
    _, radial = spectra.radial_log_power(images)
    above = radial.mean(0)[4:] + 20
    assert torch.all((above < 0.1) & (above > -0.5))  # a ring of few bins has some of the logarithm's 2.5 dB
    assert torch.all(above[-6:].abs() < 0.2)


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_scaling_adds_twenty_times_the_logarithm(factor):
    image, gain = noise(32, 32), 20 * math.log10(factor)
    plane = spectra.log_power(image * factor) - spectra.log_power(image)
    torch.testing.assert_close(plane.ravel()[1:], torch.full((32 * 17 - 1,), gain).double())
    rings = spectra.radial_log_power(image * factor)[1] - spectra.radial_log_power(image)[1]
    torch.testing.assert_close(rings, torch.full((16,), gain).double())


def test_brightness_does_not_matter():
    image = noise(32, 32)
    torch.testing.assert_close(spectra.log_power(image + 0.3), spectra.log_power(image), atol=1e-4, rtol=0)


def test_a_flat_image_is_very_smooth_and_finite():
    floor = 10 * math.log10(spectra.SMALLEST_POWER)
    assert torch.all(spectra.log_power(torch.full((16, 16), 0.7)) == floor)
    assert torch.all(spectra.radial_log_power(torch.full((16, 16), 0.7))[1] == floor)


def test_multiplicities_add_up_to_all_bins_but_the_mean(size):
    height, width = size
    counts = spectra.multiplicity(height, width)
    assert counts.shape == (height, width // 2 + 1)
    assert counts.sum() == height * width - 1 and counts[0, 0] == 0


def test_the_centred_picture_is_that_of_the_whole_transform(size):
    image = noise(*size)
    whole = torch.fft.fftshift(torch.fft.fft2(image).abs())
    torch.testing.assert_close(spectra.centred(torch.fft.rfft2(image).abs(), size[1]), whole)


def test_luma_weighs_the_channels():
    images = torch.zeros(1, 2, 2, 3, dtype=torch.uint8)
    images[0, 0, 0, 0] = images[0, 0, 1, 1] = images[0, 1, 0, 2] = 255
    images[0, 1, 1] = 255
    torch.testing.assert_close(spectra.luma(images), torch.tensor([[[0.299, 0.587], [0.114, 1.0]]]))
