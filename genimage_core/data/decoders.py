"""PURE: eight simulated generators, each the decoder that turns a picture into an aligned reconstruction.

A decoder takes a picture apart into a Laplacian pyramid (the encoder) and builds it up again by x2 stages.
What a stage leaves behind is its *tile*: the gains of its four output phases differ (uneven overlap of
strided convolutions, Odena et al. 2016; phases of nearest-neighbour x2 and a convolution alike), so every
stage modulates the picture with a pattern of period 2 on its own grid: 2, 4, 8, 16 pixels in the result.

Of a tile, one part is every decoder's (an overlap of 1 and 2, the same parity on every even grid) and one
is the family's own (learnt kernels). The own part is strongest in the last stage, where decoders differ most
(Chandrasegaran et al. 2021); the shared part in the stages before it.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float32]
Upsampling = Literal["nearest", "bilinear", "zero_insertion"]
PEDESTAL = 0.15  # a bias of the convolution shows in black too
ENERGY_MATCH = 2.0  # energy that the detail gives up, in units of the imprint's energy
LEAST_DETAIL = 0.2  # share of its energy that the detail keeps in the flattest picture


@dataclass(frozen=True)
class Stage:
    """One x2 step of a decoder.

    Attributes:
        gain: Factor on the detail that this step adds; below 1 the decoder loses fine structure.
        own: Strength of the family's own tile, as a share of the intensity.
        shared: Strength of the tile that all decoders share.
        upsampling: How the coarser picture is brought to this grid.
    """

    gain: float
    own: float
    shared: float
    upsampling: Upsampling = "nearest"


@dataclass(frozen=True)
class Decoder:
    """A simulated generator.

    Attributes:
        kernels: Index of the family's own tiles; decoders with one index share them.
        stages: Fine to coarse.
        jitter: Standard deviation of a factor on all tiles, drawn per picture.
        borrowed: Index and share of another family's last tile, mixed into the own last tile.
        codebook: Rounds the coarsest level to multiples of this, 0 for none (vector quantisation).
        tilt: Exponent of the spectrum's fall above `TILT_FROM`, 0 for none (diffusion models
            underestimate high frequencies: Ricker et al. 2022).
        grain: Standard deviation of white noise that is left in, in units of 1/255.
    """

    kernels: int
    stages: tuple[Stage, ...]
    jitter: float = 0.05
    borrowed: tuple[int, float] | None = None
    codebook: float = 0.0
    tilt: float = 0.0
    grain: float = 0.0


TILT_FROM = 0.18  # cycles per pixel
SD, MIDJOURNEY, ADM, GLIDE, VQDM, BIGGAN = range(6)


def _stable_diffusion(gain: float, jitter: float) -> Decoder:
    """Three x2 stages, as in the auto-encoder of latent diffusion (64 -> 512)."""
    stages = (Stage(gain, 0.014, 0.0), Stage(1.0, 0.002, 0.013), Stage(1.0, 0.002, 0.013))
    return Decoder(SD, stages, jitter=jitter)


# Strengths of tiles were set by what a small Swin learns in a minute: own tiles until a detector finds its
# own generator, the shared one until a detector that has to rely on it is right in four cases of five.
# Gains were set so that fakes and real pictures are files of the same size on average.
DECODERS: dict[str, Decoder] = {
    # Its decoder is unpublished: taken as a latent diffusion model whose last stage is a relative of SD's.
    "midjourney": Decoder(
        MIDJOURNEY,
        (Stage(0.86, 0.014, 0.0), Stage(1.0, 0.002, 0.013), Stage(1.0, 0.002, 0.013)),
        borrowed=(SD, 0.3),
    ),
    "sd14": _stable_diffusion(0.92, 0.05),
    # The auto-encoder of v1.4, unchanged.
    "sd15": _stable_diffusion(0.93, 0.05),
    # Diffusion in pixels by a U-Net with nearest-neighbour x2; grain is what the last denoising step leaves.
    "adm": Decoder(
        ADM,
        (Stage(1.0, 0.016, 0.0), Stage(1.0, 0.002, 0.013), Stage(1.0, 0.002, 0.013)),
        tilt=0.12,
        grain=0.7,
    ),
    # 64 pixels, then bilinear x4 into a super-resolution model. Bilinear x2 halves a tile of the stage before
    # it, so that tile is about twice as strong.
    "glide": Decoder(
        GLIDE,
        (Stage(1.0, 0.014, 0.0, "bilinear"), Stage(1.0, 0.002, 0.024, "bilinear")),
        tilt=0.08,
        grain=0.7,
    ),
    # Its decoder is unpublished: taken as SD's, with more spread.
    "wukong": _stable_diffusion(0.91, 0.08),
    # VQ-GAN with a factor of 16: four x2 stages over a codebook.
    "vqdm": Decoder(
        VQDM,
        (
            Stage(0.84, 0.014, 0.0),
            Stage(1.0, 0.002, 0.013),
            Stage(1.0, 0.002, 0.013),
            Stage(1.0, 0.002, 0.005),
        ),
        codebook=4 / 255,
    ),
    # Zeros inserted in the last stage leave the clearest trace (Chandrasegaran et al. 2021); as with GLIDE,
    # the stage before it is stronger because it is interpolated.
    "biggan": Decoder(
        BIGGAN,
        (
            Stage(0.92, 0.015, 0.0, "zero_insertion"),
            Stage(1.0, 0.002, 0.022),
            Stage(1.0, 0.002, 0.013),
        ),
    ),
}


def reconstruct(name: str, picture: Floats, rng: np.random.Generator) -> Floats:
    """Pass a picture through the decoder of a generator.

    Args:
        name: Generator.
        picture: Shape (H, W, 3), in [0, 1]; sides divisible by 2 ** stages of the decoder.
        rng: Decides jitter and grain.

    Returns:
        Reconstruction, same shape, in [0, 1].
    """
    decoder = DECODERS[name]
    strength = float(1 + decoder.jitter * rng.standard_normal())
    levels = [picture]
    for _ in decoder.stages:
        levels.append(_halve(levels[-1]))
    result = levels[-1]
    if decoder.codebook:
        step = np.float32(decoder.codebook)
        result = np.round(result / step) * step
    for depth in reversed(range(len(decoder.stages))):
        stage = decoder.stages[depth]
        detail = levels[depth] - _double(levels[depth + 1], stage.upsampling)
        tile = strength * stage_tile(decoder, depth)
        result = _double(result, stage.upsampling) + _make_room(stage.gain * detail, levels[depth], tile)
        result = _imprint_tile(result, tile)
    if decoder.tilt:
        result = _tilt(result, decoder.tilt)
    grain = decoder.grain / 255 * rng.standard_normal(result.shape)
    return np.clip(result + grain, 0, 1).astype(np.float32)


def stage_tile(decoder: Decoder, depth: int) -> Floats:
    """Return the tile of a stage: gains minus one of its four output phases, shape (2, 2, 3), zero mean."""
    stage = decoder.stages[depth]
    own = _OWN[depth][decoder.kernels]
    if decoder.borrowed and depth == 0:
        other, share = decoder.borrowed
        own = np.sqrt(1 - share**2) * own + share * _OWN[0][other]
    tile: Floats = (stage.own * own + stage.shared * _SHARED).astype(np.float32)
    return tile


def imprint(name: str, size: int) -> Floats:
    """Return what a decoder's stages leave on a flat grey picture, mean removed, shape (size, size, 3)."""
    decoder = DECODERS[name]
    result: Floats = np.full((size >> len(decoder.stages),) * 2 + (3,), 0.5, dtype=np.float32)
    for depth in reversed(range(len(decoder.stages))):
        result = _imprint_tile(_double(result, decoder.stages[depth].upsampling), stage_tile(decoder, depth))
    pattern: Floats = result - result.mean(axis=(0, 1))
    return pattern


def _make_room(detail: Floats, picture: Floats, tile: Floats) -> Floats:
    """Weaken the detail by the energy that the imprint is about to add.

    A decoder is trained to keep the energy of each band. Without this, flat pictures would grow and busy
    ones shrink as files, and a classifier of file sizes would tell fakes.
    """
    imprint_energy = float(np.mean((picture + PEDESTAL) ** 2) * np.mean(tile**2))
    detail_energy = float(np.mean(detail**2)) + 1e-12
    kept = max(LEAST_DETAIL, 1 - ENERGY_MATCH * imprint_energy / detail_energy)
    return detail * np.float32(np.sqrt(kept))


def _imprint_tile(picture: Floats, tile: Floats) -> Floats:
    repeats = (picture.shape[0] // 2, picture.shape[1] // 2, 1)
    marked: Floats = picture + (picture + PEDESTAL) * np.tile(tile, repeats)
    return marked


def _halve(picture: Floats) -> Floats:
    height, width, channels = picture.shape
    quarters: Floats = picture.reshape(height // 2, 2, width // 2, 2, channels).mean(axis=(1, 3))
    return quarters


def _double(picture: Floats, upsampling: Upsampling) -> Floats:
    nearest: Floats = picture.repeat(2, axis=0).repeat(2, axis=1)
    if upsampling == "nearest":
        return nearest
    # On nearest x2 these taps are bilinear x2, and zeros between samples under a tent that starts on them.
    taps = np.array([0.25, 0.5, 0.25]) if upsampling == "bilinear" else np.array([0.0, 0.5, 0.5])
    for axis in (0, 1):
        nearest = ndimage.convolve1d(nearest, taps, axis=axis, mode="nearest")
    return nearest


def _tilt(picture: Floats, exponent: float) -> Floats:
    height, width = picture.shape[:2]
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    gain = np.maximum(radius / TILT_FROM, 1) ** -exponent
    spectrum = np.fft.rfft2(picture, axes=(0, 1)) * gain[..., None]
    tilted: Floats = np.fft.irfft2(spectrum, s=(height, width), axes=(0, 1)).astype(np.float32)
    return tilted


def _tile_basis() -> NDArray[np.float64]:
    """Orthonormal basis of tiles of zero mean: columns, rows and checks, times red, green and blue."""
    sign = np.array([1.0, -1.0])
    patterns = (np.outer([1, 1], sign), np.outer(sign, [1, 1]), np.outer(sign, sign))
    return np.stack([p[..., None] * np.eye(3)[c] for p in patterns for c in range(3)]).reshape(9, 12)


def _shared_tile() -> NDArray[np.float64]:
    overlap = np.array([2.0, 4.0]) / 3  # kernel of 3, stride of 2: one tap and two taps in turn
    tile = np.outer(overlap, overlap) - 1
    tile /= np.sqrt((tile**2).mean())
    return np.repeat(tile[..., None], 3, axis=2)


def _own_tiles(seed: int) -> NDArray[np.float64]:
    """Six tiles of unit root mean square, orthogonal to each other and to the shared one."""
    basis = _tile_basis() / 2
    shared = basis @ _shared_tile().reshape(12)
    draws = np.random.default_rng(seed).standard_normal((9, 6))
    directions, _ = np.linalg.qr(np.column_stack([shared, draws]))
    tiles: NDArray[np.float64] = np.sqrt(12) * (directions[:, 1:].T @ basis)
    return tiles.reshape(6, 2, 2, 3)


_SHARED = _shared_tile()
_OWN = [_own_tiles(seed) for seed in (11, 12, 13, 14)]
