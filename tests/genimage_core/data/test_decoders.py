from itertools import combinations

import numpy as np
import pytest

from genimage_core.data.decoders import DECODERS, imprint, reconstruct, stage_tile
from genimage_core.generators import GENIMAGE


@pytest.fixture(scope="module")
def picture():
    rng = np.random.default_rng(3)
    return rng.uniform(0.2, 0.8, (64, 64, 3)).astype(np.float32)


def _correlation(first, second):
    return float(np.corrcoef(imprint(first, 64).ravel(), imprint(second, 64).ravel())[0, 1])


def test_every_generator_has_a_decoder():
    assert set(DECODERS) == set(GENIMAGE.names)


@pytest.mark.parametrize("name", GENIMAGE.names)
class TestContract:
    def test_keeps_shape_range_and_is_finite(self, name, picture):
        for extreme in (picture, np.zeros_like(picture), np.ones_like(picture)):
            result = reconstruct(name, extreme, np.random.default_rng(0))
            assert result.shape == extreme.shape and result.dtype == np.float32
            assert np.isfinite(result).all() and result.min() >= 0 and result.max() <= 1

    def test_leaves_its_input_alone(self, name, picture):
        before = picture.copy()
        reconstruct(name, picture, np.random.default_rng(0))
        np.testing.assert_array_equal(picture, before)

    def test_same_seed_same_result(self, name, picture):
        results = [reconstruct(name, picture, np.random.default_rng(s)) for s in (5, 5, 6)]
        np.testing.assert_array_equal(results[0], results[1])
        assert (results[0] != results[2]).any()

    def test_is_an_aligned_reconstruction(self, name, picture):
        smooth = np.broadcast_to(np.linspace(0.2, 0.8, 64, dtype=np.float32)[:, None, None], (64, 64, 3))
        result = reconstruct(name, np.ascontiguousarray(smooth), np.random.default_rng(0))
        assert np.abs(result - smooth).mean() < 0.04

    def test_wide_pictures(self, name, picture):
        assert reconstruct(name, picture[:32], np.random.default_rng(0)).shape == (32, 64, 3)

    def test_tiles_have_no_mean_and_the_stated_strength(self, name, picture):
        decoder = DECODERS[name]
        for depth, stage in enumerate(decoder.stages):
            tile = stage_tile(decoder, depth)
            np.testing.assert_allclose(tile.mean(axis=(0, 1)), 0, atol=1e-6)
            # own and shared parts are orthogonal, so their squares add
            if decoder.borrowed is None or depth > 0:
                assert np.mean(tile**2) == pytest.approx(stage.own**2 + stage.shared**2, rel=1e-4)

    def test_imprint_sits_on_multiples_of_one_over_its_period(self, name, picture):
        period = 2 ** len(DECODERS[name].stages)
        pattern = imprint(name, 64)
        # convolutions extend the edge, so only the inside is exactly periodic
        inside = np.tile(pattern[16 : 16 + period, 16 : 16 + period], (64 // period,) * 2 + (1,))
        power = np.abs(np.fft.fft2(inside, axes=(0, 1))) ** 2
        step = 64 // period
        on_grid = power[::step, ::step].sum()
        assert on_grid == pytest.approx(power.sum(), rel=1e-5)
        np.testing.assert_allclose(pattern[16:48, 16:48], inside[16:48, 16:48], atol=1e-5)


def test_members_of_a_family_share_their_imprint_and_others_do_not():
    for first, second in combinations(GENIMAGE.names, 2):
        correlation = _correlation(first, second)
        if GENIMAGE.family_of(first) == GENIMAGE.family_of(second):
            assert correlation > 0.9
        else:
            assert correlation < 0.8


def test_stronger_own_tile_makes_the_last_stage_the_familys():
    for decoder in DECODERS.values():
        finest, *coarser = decoder.stages
        assert finest.own > finest.shared
        assert all(stage.shared > stage.own for stage in coarser)
