"""PURE: random numbers that are a function of a seed, for an image or for every bin of its spectrum.

Nothing here keeps a state: a number is a counter, combined with the seed and scrambled by the finaliser of
MurmurHash3 (Appleby, 2011, `fmix32`), a bijection. So it depends neither on the other images of a batch nor
on the device, and the seed is all it takes to draw it again. What draws has a `Stream` of its own, so another
operation never changes the numbers of those that are there.

The fields of a spectrum count conjugate pairs, not bins: both members of a pair get the same number.
"""

from collections.abc import Iterable
from enum import IntEnum
from functools import lru_cache

import torch
from torch import Tensor

from genimage_core.spectrum import pair_index, per_plane

STREAMS = 64  # that there is room for


class Stream(IntEnum):
    """What a number of an image is for. A number that is given is never given to something else."""

    CHANNEL = 0
    PARTNER = 1
    MASK = 2
    MASK_CENTRE = 3
    NOISE = 4
    TILT = 5
    PEAKS = 6
    PEAK_RADIUS = 7
    PEAK_ANGLE = 8
    PEAK_PHASE = 9
    PHASE = 10
    MIX = 11
    MIX_RADIUS = 12
    FLIP = 13
    VERTICAL_FLIP = 14
    ROTATE = 15
    TRANSLATE_ROWS = 16
    TRANSLATE_COLUMNS = 17
    BLUR = 18
    JPEG = 19

    @property
    def acts(self) -> int:
        """Stream that decides whether the operation acts at all."""
        return self + STREAMS // 2


def draw(seeds: Tensor, counters: Iterable[int]) -> Tensor:
    """Numbers in [0, 1), each a function of a seed and a counter.

    Args:
        seeds: Integers from 0 to 2**31 - 1, of any shape.
        counters: A stream each, plus a multiple of `STREAMS` where one needs several numbers.

    Returns:
        float32 (*seeds.shape, counters), multiples of 2**-24.
    """
    return uniform(_words(seeds, counters))


def several(stream: int, count: int) -> range:
    """Counters of `count` numbers of one stream."""
    return range(stream, stream + count * STREAMS, STREAMS)


def split(seeds: Tensor, count: int) -> Tensor:
    """Seeds for the channels of every image.

    Args:
        seeds: int64 (B,), from 0 to 2**31 - 1.
        count: How many for each.

    Returns:
        int64 (B, count), from 0 to 2**31 - 1; the first is the seed itself.
    """
    words = _words(seeds, several(Stream.CHANNEL, count - 1))
    return torch.cat([seeds[:, None], _shift_right(words, 1).long()], 1)


def random_bits(seeds: Tensor, height: int, width: int, stream: int = 0) -> Tensor:
    """32 random bits for every plane and conjugate pair, equal in both bins of a pair.

    The words of one plane are all different.

    Args:
        seeds: (B, C), integers from 0 to 2**31 - 1.
        height: H in pixels.
        width: W in pixels.
        stream: Number of the field, for a seed that needs more than one.

    Returns:
        int32 (B, C, H, W // 2 + 1).
    """
    counter = pair_index(height, width, seeds.device) + stream * height * (width // 2 + 1)
    return _scrambled((counter * _GOLDEN) ^ per_plane(seeds.int()))


def lower_half(bits: Tensor) -> Tensor:
    """Lower 16 of 32 bits, int32 from 0 to 65,535; independent of the upper half."""
    return bits & 0xFFFF


def upper_half(bits: Tensor) -> Tensor:
    """Upper 16 of 32 bits, int32 from 0 to 65,535."""
    return _shift_right(bits, 16)


def normal(half: Tensor) -> Tensor:
    """Standard normal numbers out of 16 bits, float32.

    Each half of a word picks one of 65,536 equally likely values: the normal quantiles in the middle of as
    many steps of probability, rescaled to variance one. The largest is 4.3.
    """
    return torch.index_select(_normal_quantiles(half.device), 0, half.view(-1)).view(half.shape)


def symmetric(half: Tensor) -> Tensor:
    """Numbers uniform in (-1, 1) out of 16 bits, float32: the middles of 65,536 steps."""
    return half.float().mul_(2.0**-15).add_(2.0**-16 - 1)


def uniform(bits: Tensor) -> Tensor:
    """Numbers in [0, 1) from the upper 24 of 32 bits, float32: all that its mantissa tells apart."""
    return _shift_right(bits, 8).float().mul_(2.0**-24)


def _words(seeds: Tensor, counters: Iterable[int]) -> Tensor:
    """Words of an image, int32 (*seeds.shape, counters). They count down from -1, pairs count up from 0."""
    down = -1 - torch.tensor(list(counters), dtype=torch.int32, device=seeds.device)
    return _scrambled((down * _GOLDEN) ^ seeds.int()[..., None])


def _scrambled(bits: Tensor) -> Tensor:
    """`fmix32`, in place."""
    _fold(bits, 16).mul_(_signed(0x85EBCA6B))
    _fold(bits, 13).mul_(_signed(0xC2B2AE35))
    return _fold(bits, 16)


def _fold(bits: Tensor, by: int) -> Tensor:
    return bits.bitwise_xor_(_shift_right(bits, by))


def _shift_right(bits: Tensor, by: int) -> Tensor:
    # Int32 shifts in copies of the sign; few operations exist for uint32.
    return (bits >> by).bitwise_and_((1 << (32 - by)) - 1)


def _signed(word: int) -> int:
    return word - (1 << 32) if word >= 1 << 31 else word


_GOLDEN = _signed(0x9E3779B1)  # 2**32 divided by the golden ratio, to the next odd number


@lru_cache(maxsize=8)
def _normal_quantiles(device: torch.device) -> Tensor:
    # A table first asked for under inference mode would be refused by autograd later on.
    with torch.inference_mode(False):
        middles = (torch.arange(2**16, dtype=torch.float64) + 0.5) / 2**16
        quantiles: Tensor = torch.special.ndtri(middles)
        quantiles /= quantiles.std(correction=0)
        return quantiles.float().to(device)
