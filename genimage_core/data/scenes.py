"""PURE: scenes, drawn or cut from photographs, and the camera that takes pictures of them.

A scene is light on the sensor, linear and free of noise, at twice the side of the picture. Each call of
`shoot` is a fresh exposure: two pictures of one scene share their content and nothing of their noise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Floats = NDArray[np.float32]
OVERSAMPLING = 2
GAMMA = 2.2
LEAVES = "leaves"  # source of a scene that is drawn


@dataclass(frozen=True)
class Scene:
    """Light that falls on the sensor.

    Attributes:
        light: Linear RGB in [0, 1], shape (2 * size, 2 * size, 3).
        source: `leaves`, or the name of the photograph it was cut from.
    """

    light: Floats
    source: str


def draw_scene(
    rng: np.random.Generator, size: int, photographs: Mapping[str, NDArray[np.uint8]], photo_share: float
) -> Scene:
    """Cut a scene from one of `photographs` with probability `photo_share`, else draw one.

    Args:
        rng: Decides everything.
        size: Side of the picture that will be taken, in pixels.
        photographs: RGB photographs by name; may be empty when `photo_share` is zero.
        photo_share: Share of scenes cut from photographs, 0 to 1.
    """
    side = OVERSAMPLING * size
    if rng.random() < photo_share:
        names = sorted(photographs)
        name = names[int(rng.integers(len(names)))]
        return Scene(_cut(rng, photographs[name], side), name)
    return Scene(_draw_leaves(rng, side), LEAVES)


def _cut(rng: np.random.Generator, photograph: NDArray[np.uint8], side: int) -> Floats:
    height, width = photograph.shape[:2]
    crop = int(rng.integers(min(side, height, width), min(height, width) + 1))
    top = int(rng.integers(height - crop + 1))
    left = int(rng.integers(width - crop + 1))
    window = Image.fromarray(photograph[top : top + crop, left : left + crop])
    # A box average, never an enlargement of a JPEG's blocks: they would be a pattern of their own.
    small = np.asarray(window.resize((side, side), Image.Resampling.BOX), dtype=np.float32) / 255
    if rng.random() < 0.5:
        small = small[:, ::-1]
    tint = np.exp(rng.normal(0.0, 0.06, 3)).astype(np.float32)
    light: Floats = np.clip(small**GAMMA * tint, 0, 1)
    return light


def _draw_leaves(rng: np.random.Generator, side: int) -> Floats:
    """Dead leaves (Lee, Mumford & Huang 2001; Baradad et al. 2021) with 1/f texture and uneven light."""
    count = int(np.exp(rng.uniform(np.log(6), np.log(110))))
    labels = _place_leaves(rng, side, count)
    axis = np.linspace(-1, 1, side, dtype=np.float32)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    tint = rng.normal(0.0, 0.15, 3)
    brightness = rng.normal(rng.uniform(-2.3, -1.1), 0.65, (count + 1, 1))
    colour = (brightness + tint + rng.normal(0.0, 0.3, (count + 1, 3))).astype(np.float32)
    slope = rng.normal(0.0, 0.45, (count + 1, 2)).astype(np.float32)
    log_light = colour[labels]
    shade = slope[labels, 0] * x + slope[labels, 1] * y
    for exponent in (1.0, 1.7):
        gain = np.abs(rng.normal(0.0, 0.28, count + 1)).astype(np.float32)
        shade += gain[labels] * _power_law_noise(rng, side, exponent)
    log_light += shade[..., None]
    light: Floats = np.clip(np.exp(log_light), 0, 1)
    return light


def _place_leaves(rng: np.random.Generator, side: int, count: int) -> NDArray[np.intp]:
    """Paint `count` superellipses back to front; the label of a pixel is the leaf on top, 0 the ground."""
    labels = np.zeros((side, side), dtype=np.intp)
    small, large = 0.04 * side, 0.45 * side
    # Inverse of the distribution of a density ~ radius ** -2.2: large leaves are rare, none is a speck.
    spread = rng.random(count)
    radii = (small**-1.2 + spread * (large**-1.2 - small**-1.2)) ** (-1 / 1.2)
    centres = rng.uniform(0, side, (count, 2))
    angles = rng.uniform(0, np.pi, count)
    aspects = rng.uniform(0.35, 1.0, count)
    powers = rng.choice(np.array([1.2, 2.0, 2.0, 8.0]), count)  # rhombus, ellipse, rectangle
    for i in range(count):
        reach = 1.42 * radii[i]
        low = np.maximum(np.floor(centres[i] - reach), 0).astype(int)
        high = np.minimum(np.ceil(centres[i] + reach) + 1, side).astype(int)
        y = (np.arange(low[0], high[0]) - centres[i, 0])[:, None]
        x = (np.arange(low[1], high[1]) - centres[i, 1])[None, :]
        cosine, sine = np.cos(angles[i]), np.sin(angles[i])
        u = np.abs(cosine * x + sine * y) / radii[i]
        v = np.abs(cosine * y - sine * x) / (radii[i] * aspects[i])
        window = labels[low[0] : high[0], low[1] : high[1]]
        window[u ** powers[i] + v ** powers[i] < 1] = i + 1
    return labels


def _power_law_noise(rng: np.random.Generator, side: int, exponent: float) -> Floats:
    """Gaussian noise with amplitude ~ 1 / f ** exponent and unit standard deviation."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :])
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((side, side))) * frequency**-exponent
    noise = np.fft.irfft2(spectrum, s=(side, side))
    scaled: Floats = (noise / noise.std()).astype(np.float32)
    return scaled


def shoot(scene: Scene, rng: np.random.Generator) -> Floats:
    """Take a picture: optics, Bayer mosaic, noise, demosaicing, gamma and sharpening.

    The noise is that of Brooks et al., "Unprocessing Images for Learned Raw Denoising", 2019: variance
    `shot * light + read`, with read noise tied to shot noise; shot noise stops at a sixth of their range
    because the picture is a reduced one.

    Returns:
        Picture in [0, 1], shape (size, size, 3), gamma-encoded.
    """
    exposed = scene.light * np.float32(rng.uniform(0.6, 1.1))
    blurred = ndimage.gaussian_filter(exposed, (*(rng.uniform(0.5, 1.0),) * 2, 0), mode="nearest")
    size = scene.light.shape[0] // OVERSAMPLING
    sensor = blurred.reshape(size, OVERSAMPLING, size, OVERSAMPLING, 3).mean(axis=(1, 3))
    shot = np.exp(rng.uniform(np.log(3e-4), np.log(2e-3)))
    read = np.exp(2.18 * np.log(shot) + 1.20 + rng.normal(0.0, 0.26))
    deviation = np.sqrt(shot * np.clip(sensor, 0, None) + read)
    noisy = sensor + deviation * rng.standard_normal(sensor.shape)
    picture = np.clip(_demosaic(noisy), 0, 1) ** (1 / GAMMA)
    soft = ndimage.gaussian_filter(picture, (1, 1, 0), mode="nearest")
    sharpened = picture + rng.uniform(0.0, 0.6) * (picture - soft)
    developed: Floats = np.clip(sharpened, 0, 1).astype(np.float32)
    return developed


_CROSS: Sequence[Sequence[float]] = ((0, 0.25, 0), (0.25, 1, 0.25), (0, 0.25, 0))
_SQUARE: Sequence[Sequence[float]] = ((0.25, 0.5, 0.25), (0.5, 1, 0.5), (0.25, 0.5, 0.25))


def _demosaic(light: NDArray[np.floating]) -> NDArray[np.floating]:
    """Keep one colour per pixel (RGGB) and fill the others in bilinearly."""
    rows, columns = np.indices(light.shape[:2]) % 2
    sites = (rows + columns == 0, rows + columns == 1, rows + columns == 2)
    planes = [
        ndimage.convolve(np.where(site, light[..., channel], 0), np.array(kernel), mode="mirror")
        for channel, (site, kernel) in enumerate(zip(sites, (_SQUARE, _CROSS, _SQUARE), strict=True))
    ]
    return np.stack(planes, axis=-1)
