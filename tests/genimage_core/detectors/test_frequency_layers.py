"""The hand-made layers of F3Net, Spec and GramNet against closed forms and SciPy."""

import numpy as np
import pytest
import torch
from scipy.fft import dctn

from genimage_core.detectors.catalogue import check_detector
from genimage_core.detectors.checkpoint import save_checkpoint
from genimage_core.detectors.dct import dct_matrix, diagonal_bands
from genimage_core.detectors.detector import build_detector, load_detector
from genimage_core.detectors.f3net import FrequencyDecomposition, LocalStatistics, MixBlock
from genimage_core.detectors.gramnet import GramBranch, RandomResolution, gram_matrix
from genimage_core.detectors.info import CheckpointInfo
from genimage_core.detectors.spec import LogSpectrum


def pictures(count, size, seed=0):
    return torch.rand((count, 3, size, size), generator=torch.Generator().manual_seed(seed))


class TestCosineTransform:
    @pytest.mark.parametrize("size", [1, 2, 10, 33, 224])
    def test_it_is_orthonormal(self, size):
        matrix = dct_matrix(size).double()
        torch.testing.assert_close(matrix @ matrix.T, torch.eye(size, dtype=torch.float64), atol=1e-6, rtol=0)

    def test_it_is_scipy_s(self):
        square = np.random.default_rng(0).random((12, 12))
        matrix = dct_matrix(12).double().numpy()
        np.testing.assert_allclose(matrix @ square @ matrix.T, dctn(square, norm="ortho"), atol=1e-6)

    @pytest.mark.parametrize(
        ("size", "edges"), [(32, (2.0, 4.0)), (33, (33 / 16, 33 / 8)), (10, (5.0,)), (8, ())]
    )
    def test_bands_divide_all_coefficients_by_the_sum_of_row_and_column(self, size, edges):
        bands = diagonal_bands(size, edges)
        assert bands.shape == (len(edges) + 1, size, size)
        assert torch.equal(bands.sum(0), torch.ones(size, size))
        for row in range(size):
            for column in range(size):
                expected = sum(row + column > edge for edge in edges)
                assert bands[:, row, column].argmax() == expected


class TestDecomposition:
    @pytest.fixture
    def fixed(self):
        """Without what is learnt."""
        layer = FrequencyDecomposition(32)
        torch.nn.init.zeros_(layer.learnt)
        return layer

    def test_three_bands_add_up_to_the_image_and_the_fourth_is_the_image(self, fixed):
        images = pictures(2, 32)
        with torch.no_grad():
            low, middle, high, whole = fixed(images).split(3, dim=1)
        torch.testing.assert_close(low + middle + high, images, atol=1e-5, rtol=0)
        torch.testing.assert_close(whole, images, atol=1e-5, rtol=0)

    @pytest.mark.parametrize(
        ("row", "column", "band"), [(0, 0, 0), (1, 1, 0), (2, 1, 1), (0, 4, 1), (3, 2, 2)]
    )
    def test_a_cosine_comes_through_its_band_alone(self, fixed, row, column, band):
        coefficients = torch.zeros(32, 32)
        coefficients[row, column] = 5.0
        image = (fixed.transform.T @ coefficients @ fixed.transform).expand(1, 3, 32, 32)
        with torch.no_grad():
            bands = fixed(image).unflatten(1, (4, 3))[0]
        for number in range(3):
            expected = image[0] if number == band else torch.zeros_like(image[0])
            torch.testing.assert_close(bands[number], expected, atol=1e-5, rtol=0)

    def test_what_is_learnt_stays_between_minus_one_and_one(self, fixed):
        torch.nn.init.constant_(fixed.learnt, 50.0)
        images = pictures(1, 32)
        with torch.no_grad():
            low, _, _, whole = fixed(images).split(3, dim=1)
        torch.testing.assert_close(whole, 2 * images, atol=1e-4, rtol=0)
        assert not torch.allclose(low, images)


class TestLocalStatistics:
    def test_windows_are_those_of_scipy(self):
        layer = LocalStatistics()
        torch.nn.init.zeros_(layer.learnt)
        images = pictures(1, 32, seed=3) * 2 - 1
        with torch.no_grad():
            found = layer(images)[0].numpy()
        assert found.shape == (6, 16, 16)
        grey = np.tensordot([0.299, 0.587, 0.114], images[0].double().numpy(), 1)
        padded = np.pad((grey + 1) * 122.5, 4)
        sums = np.add.outer(np.arange(10), np.arange(10))
        for row, column in ((0, 0), (5, 9), (15, 15)):
            window = padded[2 * row : 2 * row + 10, 2 * column : 2 * column + 10]
            logarithm = np.log10(np.abs(dctn(window, norm="ortho")) + 1e-15)
            for band in range(6):
                inside = (sums > 20 / 6 * band) & (sums <= 20 / 6 * (band + 1))
                inside |= (band == 0) & (sums == 0)
                np.testing.assert_allclose(found[band, row, column], logarithm[inside].mean(), atol=2e-3)

    def test_a_flat_image_is_finite(self):
        with torch.no_grad():
            assert LocalStatistics()(torch.zeros(1, 3, 32, 32)).isfinite().all()


class TestMixing:
    def test_it_is_the_identity_before_its_gates_are_learnt(self):
        block, one, other = MixBlock(4).eval(), torch.rand(2, 4, 5, 5), torch.rand(2, 4, 5, 5)
        with torch.no_grad():
            mixed = block((one, other))
        assert torch.equal(mixed[0], one) and torch.equal(mixed[1], other)

    def test_attention_is_one_matrix_per_channel_over_both_streams(self):
        block, streams = MixBlock(3).eval(), (torch.rand(1, 3, 4, 4), torch.rand(1, 3, 4, 4))
        torch.nn.init.constant_(block.gates, 1.0)
        with torch.no_grad():
            mixed = block(streams)[0]
            gate = 2 * torch.sigmoid(torch.tensor(1.0)) - 1
            for channel in range(3):
                energy = torch.zeros(4, 4)
                for query, key, maps in zip(block.queries, block.keys, streams, strict=True):
                    q = query.weight[channel].squeeze() * maps[0, channel] + query.bias[channel]
                    k = key.weight[channel].squeeze() * maps[0, channel] + key.bias[channel]
                    energy += q @ k
                convolution, norm = block.out[0]
                seen = streams[1][0, channel] * torch.softmax(energy, -1) * gate
                out = convolution.weight[channel].squeeze() * seen
                expected = streams[0][0, channel] + out / (1 + norm.eps) ** 0.5
                torch.testing.assert_close(mixed[0, channel], expected)

    @pytest.mark.parametrize("size", range(33, 301))
    def test_a_size_is_allowed_where_both_streams_agree(self, size):
        def halved(side, times):
            return side if times == 0 else halved((side - 1) // 2 + 1, times - 1)

        images, windows = (size - 3) // 2 + 1 - 2, (size + 2 * 4 - 10) // 2 + 1 - 2 - 2
        agree = all(halved(images, times) == halved(windows, times) for times in (3, 4))
        if agree and halved(windows, 4) > 1:
            check_detector("f3net_mix", size)
        else:
            with pytest.raises(ValueError, match="both streams"):
                check_detector("f3net_mix", size)


class TestLogSpectrum:
    def test_percentiles_become_the_ends_of_the_range(self):
        images = pictures(2, 33)
        spectra = LogSpectrum()(images).numpy()
        for image, spectrum in zip(images.numpy(), spectra, strict=True):
            for channel, found in zip(image, spectrum, strict=True):
                logarithm = np.log(np.abs(np.fft.fft2(channel)) + 1e-3)
                low, high = np.percentile(logarithm, [5, 95])
                expected = np.clip(2 * ((logarithm - low) / (high - low) - 0.5), -1, 1)
                np.testing.assert_allclose(found, expected, atol=1e-3)

    def test_brightness_and_place_do_not_matter(self):
        images = pictures(1, 32) * 0.5
        layer = LogSpectrum()
        torch.testing.assert_close(layer(images), layer(images.roll((5, 9), (2, 3))), atol=1e-3, rtol=0)
        torch.testing.assert_close(layer(images)[..., 1:], layer(images * 2)[..., 1:], atol=2e-2, rtol=0)

    @pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
    def test_a_flat_image_is_finite(self, value):
        assert LogSpectrum()(torch.full((1, 3, 32, 32), value)).isfinite().all()


class TestGram:
    def test_it_is_the_mean_product_of_two_channels(self):
        maps = torch.rand(2, 5, 6, 7)
        expected = np.einsum("bchw,bdhw->bcd", maps.numpy(), maps.numpy()) / (5 * 6 * 7)
        np.testing.assert_allclose(gram_matrix(maps).numpy(), expected, rtol=1e-5)

    def test_constant_maps_have_a_known_gram_matrix(self):
        maps = torch.tensor([1.0, 2.0]).view(1, 2, 1, 1).expand(1, 2, 9, 9)
        torch.testing.assert_close(gram_matrix(maps), torch.tensor([[[0.5, 1.0], [1.0, 2.0]]]))

    def test_where_things_are_does_not_matter_to_it(self):
        maps = torch.rand(1, 4, 8, 8)
        shuffled = maps.flatten(2)[..., torch.randperm(64)].view(1, 4, 8, 8)
        torch.testing.assert_close(gram_matrix(shuffled), gram_matrix(maps))

    def test_a_branch_gives_32_numbers_for_any_map(self):
        for channels, size in ((3, 64), (256, 2)):
            assert GramBranch(channels)(torch.rand(2, channels, size, size)).shape == (2, 32)

    def test_resolution_is_lost_in_training_only_and_by_chance(self):
        layer, images = RandomResolution(), pictures(12, 32)
        assert layer.eval()(images) is images
        torch.manual_seed(0)
        first = layer.train()(images)
        torch.manual_seed(0)
        assert torch.equal(layer(images), first) and first.shape == images.shape
        lost = (first - images).square().mean((1, 2, 3))
        assert 2 < (lost == 0).sum() < 10 and len(set(lost.tolist())) > 3
        assert first.min() >= 0 and first.max() <= 1


@pytest.mark.parametrize("freeze_depth", [0, 1])
def test_bands_begin_as_bands_also_from_a_base_that_was_saved(tmp_path, freeze_depth):
    path = tmp_path / "base.safetensors"
    save_checkpoint(path, build_detector("f3net", image_size=64), CheckpointInfo("f3net", 64))
    frequency = load_detector(path, freeze_depth=freeze_depth).parts[0][0]
    learnt = (frequency.decompose.learnt, frequency.describe.learnt)
    assert all(not weights.any() and weights.requires_grad == (freeze_depth == 0) for weights in learnt)
    images = pictures(2, 64)
    bands = frequency.decompose(images).unflatten(1, (4, 3))
    torch.testing.assert_close(bands[:, 3], images, atol=1e-5, rtol=0)  # the filter that takes all
    torch.testing.assert_close(bands[:, :3].sum(1), images, atol=1e-5, rtol=0)
