import math

import pytest
import torch

from genimage_core import filters, spectrum

CPU = torch.device("cpu")
SIZES = [(32, 32), (33, 31), (16, 40), (31, 32), (2, 2), (1, 1)]
STRENGTHS = torch.tensor([[0.0], [0.1], [0.25], [0.7]])


@pytest.fixture(params=SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def size(request):
    return request.param


@pytest.fixture
def frequency(size):
    return spectrum.radial_frequency(*size, CPU)


def all_but(frequency, edge):
    """Bins that do not lie on the very edge of a band, where rounding decides."""
    return (frequency - edge).abs() > 1e-6


@pytest.mark.parametrize(
    "centre, removes",
    [
        (spectrum.CORNER, lambda f, h: f > spectrum.CORNER - h),
        (0.0, lambda f, h: f < h),
        (0.3, lambda f, h: (f - 0.3).abs() < h),
    ],
    ids=["low_pass", "high_pass", "ring"],
)
def test_a_band_stop_removes_what_it_says(frequency, centre, removes):
    gain = filters.band_stop(frequency, torch.full((4, 1), centre), STRENGTHS)
    assert gain.shape == (4, 1, *frequency.shape)
    assert gain.dtype == torch.float32
    assert (gain[0] == 1).all()
    for row, strength in enumerate(STRENGTHS[:, 0].tolist()):
        inside = all_but((frequency - centre).abs(), strength)
        assert torch.equal(gain[row, 0][inside] == 0, removes(frequency, strength)[inside])


@pytest.mark.parametrize("centre", [0.0, 0.3, spectrum.CORNER])
@pytest.mark.parametrize("softness", [0.05, 0.5])
def test_a_soft_edge_lies_inside_the_band(frequency, centre, softness):
    centres = torch.full((4, 1), centre)
    gain = filters.band_stop(frequency, centres, STRENGTHS, softness)
    hard = filters.band_stop(frequency, centres, STRENGTHS)
    assert (gain[0] == 1).all()
    assert (gain >= hard - 1e-6).all()
    depth = STRENGTHS[..., None, None].double() - (frequency.double() - centre).abs()
    expected = 0.5 * (1 + torch.cos(math.pi * (depth / softness).clamp(0, 1)))
    torch.testing.assert_close(gain.double(), expected, atol=1e-5, rtol=0)


def test_channels_may_differ(frequency):
    half_width = torch.tensor([[0.0, 0.2, 0.4]])
    gain = filters.band_stop(frequency, torch.zeros(1, 3), half_width)
    for channel in range(3):
        single = slice(channel, channel + 1)
        assert torch.equal(
            gain[:, single], filters.band_stop(frequency, torch.zeros(1, 1), half_width[:, single])
        )


def test_random_stop_removes_below_its_ratio():
    chance = torch.tensor([0.0, 0.2, 0.5, 0.99]).view(1, 1, 2, 2)
    gain = filters.random_stop(chance, torch.tensor([[0.0], [0.2], [0.5]]))
    assert gain.flatten(1).tolist() == [[1, 1, 1, 1], [0, 1, 1, 1], [0, 0, 1, 1]]


@pytest.mark.parametrize("knee", [0.001, 0.1, 0.5])
def test_tilt_is_a_power_beyond_the_knee(frequency, knee):
    exponent = torch.tensor([[-2.0], [0.0], [0.7]])
    gain = filters.tilt(frequency, exponent, knee)
    expected = (frequency.double() / knee).clamp_min(1) ** exponent[..., None, None].double()
    torch.testing.assert_close(gain.double(), expected, rtol=1e-5, atol=0)
    assert (gain[1] == 1).all()
    assert (gain[:, 0, 0, 0] == 1).all()


@pytest.mark.parametrize("low, high", [(0.0, 0.5), (0.2, 0.3), (0.5, 0.5)])
def test_plane_waves_are_those_of_real_images(size, low, high):
    height, width = size
    seeds = torch.randint(2**31, (50, 1), generator=torch.Generator().manual_seed(0))
    index, waves = filters.plane_waves(seeds, 3, low, high, size)
    assert index.shape == waves.shape == (50, 1, 6)
    bins = torch.zeros(50, 1, height * (width // 2 + 1), dtype=torch.complex64)
    bins = bins.scatter_add(2, index, waves).view(50, 1, height, -1)
    back = torch.fft.rfft2(torch.fft.irfft2(bins, s=size))
    torch.testing.assert_close(back, bins, atol=1e-3, rtol=1e-4)
    assert (bins[..., 0, 0] == 0).all()
    radius = spectrum.radial_frequency(height, width, CPU)[bins[:, 0].abs().sum(0) > 0]
    if len(radius):
        reach = math.hypot(0.5 / height, 0.5 / width)
        assert low - reach <= radius.min() <= radius.max() <= high + reach


def test_a_wave_has_amplitude_one():
    seeds = torch.arange(100)[:, None] * 7919
    index, waves = filters.plane_waves(seeds, 1, 0.1, 0.4, (32, 31))
    bins = torch.zeros(100, 1, 32 * 16, dtype=torch.complex64).scatter_add(2, index, waves)
    images = torch.fft.irfft2(bins.view(100, 1, 32, 16), s=(32, 31))
    torch.testing.assert_close(images.square().mean((1, 2, 3)), torch.full((100,), 0.5), atol=1e-5, rtol=0)
