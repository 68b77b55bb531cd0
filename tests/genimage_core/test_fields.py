import math

import numpy as np
import pytest
import torch
from scipy import stats

from genimage_core import fields, spectrum
from genimage_core.fields import STREAMS, Stream

CPU = torch.device("cpu")
SIZES = [(32, 32), (33, 31), (16, 40), (31, 32), (32, 31), (2, 2), (1, 1)]


@pytest.fixture(params=SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def size(request):
    return request.param


def seeds(n, start=0):
    return torch.randint(2**31, (n, 1), generator=torch.Generator().manual_seed(start))


def normal_pair(bits):
    return fields.normal(fields.lower_half(bits)), fields.normal(fields.upper_half(bits))


def scramble(word):
    """`fmix32` of MurmurHash3, word by word."""
    word ^= word >> 16
    word = word * 0x85EBCA6B % 2**32
    word ^= word >> 13
    word = word * 0xC2B2AE35 % 2**32
    return word ^ word >> 16


def test_scramble_gives_the_known_values():
    # Of the reference implementation: fmix32(1) and fmix32(0).
    assert scramble(1) == 0x514E28B7
    assert scramble(0) == 0


class TestBits:
    @pytest.mark.parametrize("stream", [0, 1])
    def test_they_are_the_published_hash(self, size, stream):
        height, width = size
        chosen = seeds(2)
        bits = fields.random_bits(chosen, height, width, stream)
        index = spectrum.pair_index(height, width, CPU)
        assert bits.shape == (2, 1, height, width // 2 + 1)
        for image, row, column in [(0, 0, 0), (1, 0, 0), (0, height - 1, width // 2), (1, height // 2, 0)]:
            counter = int(index[row, column]) + stream * index.numel()
            word = scramble(counter * 0x9E3779B1 % 2**32 ^ int(chosen[image]))
            assert int(bits[image, 0, row, column]) % 2**32 == word

    def test_those_of_a_plane_do_not_depend_on_the_batch(self):
        many = fields.random_bits(seeds(6).view(2, 3), 33, 32)
        assert torch.equal(fields.random_bits(seeds(6)[4:5], 33, 32)[0, 0], many[1, 1])

    def test_they_differ_between_pairs_and_streams(self):
        words = torch.cat([fields.random_bits(seeds(1), 64, 64, stream).flatten() for stream in (0, 1)])
        pairs = len(spectrum.pair_index(64, 64, CPU).unique())
        assert len(words.unique()) == 2 * pairs

    def test_every_spectrum_built_of_them_is_that_of_a_real_image(self, size):
        noise, shift = normal_pair(fields.random_bits(seeds(4), *size))
        built = torch.polar((0.5 * noise).exp(), shift * spectrum.pair_sign(*size, CPU))
        back = torch.fft.rfft2(torch.fft.irfft2(built, s=size))
        torch.testing.assert_close(back, built, atol=1e-5, rtol=1e-5)


class TestNormal:
    def test_both_halves_are_normal_and_uncorrelated(self):
        first, second = normal_pair(fields.random_bits(seeds(16), 65, 64))
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
            bound = 4 / math.sqrt(one.numel())
            assert abs(stats.pearsonr(one.flatten(), other.flatten()).statistic) < bound

    def test_those_of_neighbouring_seeds_are_uncorrelated(self):
        first, _ = normal_pair(fields.random_bits(torch.arange(64)[:, None], 33, 32))
        correlation = np.corrcoef(first[..., 1:16].flatten(1).numpy()) - np.eye(64)
        assert np.abs(correlation).max() < 5 / math.sqrt(33 * 15)

    def test_the_table_has_unit_variance_and_reaches_four_sigma(self):
        low, high = normal_pair(torch.arange(2**16, dtype=torch.int32))
        assert low.double().std(correction=0) == pytest.approx(1, abs=1e-6)
        assert low.double().mean() == pytest.approx(0, abs=1e-6)
        assert 4.2 < low.max() < 4.4
        assert (high == high[0]).all()


class TestUniform:
    def test_it_lies_in_its_range_and_is_uniform(self):
        extremes = fields.uniform(torch.tensor([0, -1, 2**31 - 1], dtype=torch.int32))
        assert extremes[0] == 0
        assert extremes.max() < 1
        chance = fields.uniform(fields.random_bits(seeds(8), 65, 64))[..., 1:32]
        assert stats.kstest(chance.flatten().numpy(), "uniform").pvalue > 0.01

    def test_the_symmetric_one_is_exact_and_has_no_mean(self):
        values = fields.symmetric(torch.arange(2**16, dtype=torch.int32)).double()
        assert torch.equal(values, -values.flip(0))
        assert values.max() == 1 - 2.0**-16
        assert torch.equal(values.diff(), torch.full((2**16 - 1,), 2.0**-15, dtype=torch.float64))


class TestDraw:
    def test_a_number_is_the_published_hash_of_its_counter(self):
        chosen = seeds(3)
        counters = [Stream.NOISE, Stream.NOISE.acts, Stream.PEAK_ANGLE + 2 * STREAMS]
        numbers = fields.draw(chosen, counters)
        assert numbers.shape == (3, 1, 3)
        for row in range(3):
            for place, counter in enumerate(counters):
                word = scramble((-1 - counter) * 0x9E3779B1 % 2**32 ^ int(chosen[row]))
                assert float(numbers[row, 0, place]) == (word >> 8) / 2**24

    def test_streams_are_uniform_and_unrelated(self):
        numbers = fields.draw(seeds(5000)[:, 0], range(2 * STREAMS)).double()
        assert min(stats.kstest(column, "uniform").pvalue for column in numbers.T.numpy()) > 1e-4
        correlation = torch.corrcoef(numbers.T) - torch.eye(2 * STREAMS)
        assert correlation.abs().max() < 5.5 / math.sqrt(5000)

    def test_every_stream_and_its_switch_have_a_number_of_their_own(self):
        numbers = [int(stream) for stream in Stream] + [stream.acts for stream in Stream]
        assert len(set(numbers)) == 2 * len(Stream)
        assert max(numbers) < STREAMS

    def test_several_numbers_of_a_stream_are_those_of_no_other(self):
        counters = [c for stream in range(STREAMS) for c in fields.several(stream, 16)]
        assert len(set(counters)) == 16 * STREAMS

    def test_channels_have_seeds_of_their_own(self):
        base = seeds(1000)[:, 0]
        split = fields.split(base, 3)
        assert torch.equal(split[:, 0], base)
        assert 0 <= split.min() <= split.max() < 2**31
        assert len(split.unique()) == 3000
        assert torch.equal(fields.split(base, 1), base[:, None])
