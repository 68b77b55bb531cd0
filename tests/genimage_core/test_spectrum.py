import numpy as np
import pytest
import torch

from genimage_core import spectrum

CPU = torch.device("cpu")
SIZES = [(32, 32), (33, 31), (16, 40), (31, 32), (32, 31), (2, 2), (1, 1)]


@pytest.fixture(params=SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def size(request):
    return request.param


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


def test_a_band_has_both_ends_and_spares_the_mean(size):
    frequency = spectrum.radial_frequency(*size, CPU)
    band = spectrum.band(*size, CPU, 0.0, 0.25)
    assert torch.equal(band, ((frequency > 0) & (frequency <= 0.25)).float())
    assert spectrum.band(*size, CPU, 0.0, spectrum.CORNER).sum() == band.numel() - 1
    assert spectrum.band(*size, CPU, 0.25, 0.25).sum() == (frequency == 0.25).sum()


def test_amplitude_is_the_modulus(size):
    bins = torch.fft.rfft2(torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1)))
    torch.testing.assert_close(spectrum.amplitude(bins), bins.abs(), rtol=1e-6, atol=0)


def test_hermitian_keeps_what_is_and_mends_what_is_not(size):
    generator = torch.Generator().manual_seed(1)
    bins = torch.fft.rfft2(torch.rand(2, 3, *size, generator=generator))
    kept = spectrum.hermitian(bins.clone(), size[1])
    torch.testing.assert_close(kept, bins, atol=1e-5, rtol=1e-5)
    anything = torch.randn(bins.shape, dtype=torch.complex64, generator=generator)
    mended = spectrum.hermitian(anything.clone(), size[1])
    back = torch.fft.rfft2(torch.fft.irfft2(mended, s=size))
    torch.testing.assert_close(back, mended, atol=1e-5, rtol=1e-5)
    first = spectrum.pair_sign(*size, CPU) > 0
    assert torch.equal(mended[..., first], anything[..., first])


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
