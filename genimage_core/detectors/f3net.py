"""F3Net: two Xceptions, one on images divided by frequency, one on local statistics of frequency.

Source: Qian et al., "Thinking in Frequency: Face Forgery Detection by Mining Frequency-aware Clues", ECCV
2020; the authors published no code, constants are those of the public one that GenImage used. That leaves the
mean (row and column 0) out of every band; here it belongs to the lowest, so that low, middle and high are all
there is, as in the paper. And it draws the filters beside the bands at random; here they begin with nothing,
so that bands are bands also where the filters are frozen.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from genimage_core.detectors.backbones import Parts, build_xception
from genimage_core.detectors.dct import dct_matrix, diagonal_bands

WINDOW, STRIDE, PADDING = 10, 2, 4  # pixels
STATISTICS = 6  # local bands
FLOOR = 1e-15  # under the logarithm
GREY = (0.299, 0.587, 0.114)

Streams = tuple[Tensor, Tensor]


def _signed(weights: Tensor) -> Tensor:
    """Map any number to (-1, 1), 0 to 0: what a learnt filter adds to its fixed band."""
    return 2 * torch.sigmoid(weights) - 1


class FrequencyDecomposition(nn.Module):
    """FAD: (B, 3, S, S) to (B, 12, S, S), the image through four filters of its cosine transform.

    Bands by the sum of row and column: up to S/16, up to S/8, beyond, all. To each is added a learnt filter.
    """

    transform: Tensor
    bands: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("transform", dct_matrix(size), persistent=False)
        bands = torch.cat([diagonal_bands(size, (size / 16, size / 8)), torch.ones(1, size, size)])
        self.register_buffer("bands", bands, persistent=False)
        self.learnt = nn.Parameter(torch.zeros(4, size, size))

    def forward(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, enabled=False):
            spectrum = self.transform @ images.float() @ self.transform.T
            filters = self.bands + _signed(self.learnt)
            chosen = spectrum[:, None] * filters[:, None]  # (B, 4, 3, S, S)
            return (self.transform.T @ chosen @ self.transform).flatten(1, 2)


class LocalStatistics(nn.Module):
    """LFS: (B, 3, S, S) in [-1, 1] to (B, 6, S/2, S/2), log-amplitudes of windows of 10 pixels by band."""

    transform: Tensor
    bands: Tensor

    def __init__(self) -> None:
        super().__init__()
        one = dct_matrix(WINDOW)
        self.register_buffer("transform", torch.kron(one, one), persistent=False)
        edges = [2 * WINDOW * number / STATISTICS for number in range(1, STATISTICS)]
        bands = diagonal_bands(WINDOW, edges).flatten(1)
        self.register_buffer("bands", bands, persistent=False)
        self.learnt = nn.Parameter(torch.zeros(STATISTICS, WINDOW**2))

    def forward(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, enabled=False):
            weights = torch.tensor(GREY, device=images.device)
            grey = (torch.einsum("bchw,c->bhw", images.float(), weights)[:, None] + 1) * 122.5
            windows = functional.unfold(grey, WINDOW, padding=PADDING, stride=STRIDE)  # (B, 100, L)
            logarithm = (self.transform @ windows).abs().add(FLOOR).log10()
            filters = (self.bands + _signed(self.learnt)) / self.bands.sum(1, keepdim=True)
            rows = (images.shape[2] + 2 * PADDING - WINDOW) // STRIDE + 1
            return (filters @ logarithm).view(images.shape[0], STATISTICS, rows, -1)


class FrequencyStreams(nn.Module):
    """Images in [-1, 1] to the inputs of both streams."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.decompose, self.describe = FrequencyDecomposition(size), LocalStatistics()

    def forward(self, images: Tensor) -> Streams:
        return self.decompose(images), self.describe(images)


class Pair(nn.Module):
    """The same part of both streams."""

    def __init__(self, one: nn.Module, other: nn.Module) -> None:
        super().__init__()
        self.one, self.other = one, other

    def forward(self, streams: Streams) -> Streams:
        return self.one(streams[0]), self.other(streams[1])


class MixBlock(nn.Module):
    """Lets each stream look at the other, channel by channel; without effect until its gates are learnt.

    Maps of both streams are (B, C, W, W).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()

        def each_channel(*, bias: bool = True) -> nn.Conv2d:
            return nn.Conv2d(channels, channels, 1, groups=channels, bias=bias)

        self.queries = nn.ModuleList(each_channel() for _ in range(2))
        self.keys = nn.ModuleList(each_channel() for _ in range(2))
        self.gates = nn.Parameter(torch.zeros(2))
        # Without bias, which batch norm takes off again: with gates of 0 nothing at all comes out.
        self.out = nn.ModuleList(
            nn.Sequential(each_channel(bias=False), nn.BatchNorm2d(channels)) for _ in range(2)
        )

    def forward(self, streams: Streams) -> Streams:
        agreement = [
            query(one) @ key(one) for query, key, one in zip(self.queries, self.keys, streams, strict=True)
        ]
        attention = torch.softmax(agreement[0] + agreement[1], -1)
        one, other = streams
        gates = _signed(self.gates)
        return (
            one + self.out[0](other * attention * gates[0]),
            other + self.out[1](one * attention * gates[1]),
        )


class PairHead(nn.Module):
    """Means of both streams' last maps, dropout, a linear layer to one logit."""

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.dropout, self.linear = nn.Dropout(dropout), nn.Linear(2 * channels, 1)

    def forward(self, streams: Streams) -> Tensor:
        features = torch.cat([maps.mean((2, 3)) for maps in streams], 1)
        logits: Tensor = self.linear(self.dropout(features))
        return logits


def build_f3net(image_size: int, *, mix: bool, pretrained: bool, dropout: float) -> tuple[Parts, nn.Module]:
    """Build the five parts and the head.

    Args:
        image_size: Side of the input, in pixels.
        mix: Whether both streams meet after blocks 7 and 12.
        pretrained: ImageNet weights for the Xceptions.
        dropout: Rate before the last layer.
    """
    streams = zip(
        build_xception(12, stride=2, pretrained=pretrained),
        build_xception(6, stride=1, pretrained=pretrained),
        strict=True,
    )
    stem, entry, middle, late, leave = (Pair(one, other) for one, other in streams)
    parts: Parts = [nn.Sequential(FrequencyStreams(image_size), stem), entry, middle, late, leave]
    if mix:
        parts[2] = nn.Sequential(middle, MixBlock(728))
        parts[4] = _mixed_exit(leave)
    return parts, PairHead(2048, dropout)


def _mixed_exit(leave: Pair) -> nn.Module:
    (block, *rest), (other_block, *other_rest) = leave.one.children(), leave.other.children()
    return nn.Sequential(
        Pair(block, other_block), MixBlock(1024), Pair(nn.Sequential(*rest), nn.Sequential(*other_rest))
    )
