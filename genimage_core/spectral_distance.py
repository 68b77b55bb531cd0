"""PURE: how far the mean spectra of two classes are apart, how sure that is, and what chance alone gives.

The distance is the root mean square, over frequencies, of the difference of two means over images. Means of
finitely many images always differ: with s the spread of one image about the mean of its class, their squared
distance exceeds that of the populations by the mean of s^2 / n over frequencies, summed over both classes.
Hence

- a floor: what the distance would be if the means of the classes did not differ. Each class is cut into
  random halves, the differences of the halves are brought to the noise of the whole class and added up. They
  have the spread of the classes and nothing of the difference between them.
- an excess: the distance with the mean of that noise taken off; it does not shrink with more images.
- an interval by the bootstrap over images within classes. Drawing again adds the noise a second time; the
  distribution of the squared distance is therefore moved back to the measured one.

All of these are quadratic forms of the Gram matrix of the images, so that one pass over the frequencies is
enough for thousands of draws.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

DRAWS = 2000  # bootstrap samples, and random halvings
LEVEL = 0.95  # of the interval and of the floor
_BLOCK = 4096  # frequencies at a time


@dataclass(frozen=True)
class Distance:
    """How far two mean spectra are apart, in the unit of the spectra (dB).

    Attributes:
        value: Root mean square of the difference of the means, at least 0.
        low: Lower end of its bootstrap interval.
        high: Upper end.
        floor: Distance that chance alone exceeds in 5 % of cases; a value up to it tells nothing.
        excess: The value without the noise of the means, at least 0; to be compared between sets of
            different numbers of images.
    """

    value: float
    low: float
    high: float
    floor: float
    excess: float


def rms_difference(first: Floats, second: Floats, weights: Floats) -> float:
    """Root of the weighted mean of squared differences; all (K,), weights at least 0 with a positive sum."""
    squares = np.square(np.asarray(first, dtype=np.float64) - second)
    return float(np.sqrt(np.average(squares, weights=weights)))


def measure_distance(
    reals: Floats, fakes: Floats, weights: Floats, *, seed: int, draws: int = DRAWS
) -> Distance:
    """Compare the means of two classes.

    Args:
        reals: Shape (N, K), one row per image, finite.
        fakes: Shape (M, K).
        weights: Of the K frequencies, shape (K,), at least 0 with a positive sum.
        seed: Of bootstrap and halvings.
        draws: How many of each, at least 1.

    Raises:
        ValueError: If shapes do not fit, a class has fewer than two images, or a value is not finite.
    """
    _require_valid(reals, fakes, weights)
    gram = _gram(np.concatenate([reals, fakes]), weights)
    value = rms_difference(reals.mean(0, dtype=np.float64), fakes.mean(0, dtype=np.float64), weights)
    rng = np.random.default_rng(seed)
    again = _squares(gram, _bootstrap(len(reals), len(fakes), draws, rng))
    chance = _squares(gram, _halvings(len(reals), len(fakes), draws, rng))
    tail = (1 - LEVEL) / 2
    moved = value**2 + np.quantile(again, [tail, 1 - tail]) - again.mean()
    low, high = (min(moved[0], value**2), max(moved[1], value**2))
    roots = np.sqrt(np.maximum([low, high, np.quantile(chance, LEVEL), value**2 - chance.mean()], 0))
    return Distance(value, *(float(root) for root in roots))


def _require_valid(reals: Floats, fakes: Floats, weights: Floats) -> None:
    for name, values in (("reals", reals), ("fakes", fakes)):
        if values.ndim != 2 or values.shape[1:] != weights.shape:
            raise ValueError(f"{name} must be (images, {weights.size} frequencies), got shape {values.shape}")
        if len(values) < 2:
            raise ValueError(f"{name} must be at least 2 images, got {len(values)}")
        if not np.isfinite(values).all():
            raise ValueError(f"{name} must be finite, got {int((~np.isfinite(values)).sum())} other values")
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.sum() > 0):
        raise ValueError("weights must be finite and at least 0, and their sum above 0")


def _gram(rows: Floats, weights: Floats) -> NDArray[np.float64]:
    """Weighted inner products of rows about their mean, (n, n); the weights are brought to the sum 1."""
    gram = np.zeros((len(rows), len(rows)))
    for start in range(0, rows.shape[1], _BLOCK):
        block = rows[:, start : start + _BLOCK].astype(np.float64)
        block -= block.mean(0)  # contrasts sum to zero: it changes nothing but rounding
        gram += (block * (weights[start : start + _BLOCK] / weights.sum())) @ block.T
    return gram


def _squares(gram: NDArray[np.float64], contrasts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Squared lengths of the combinations of images that `contrasts` (draws, n) name."""
    squares: NDArray[np.float64] = np.maximum(((contrasts @ gram) * contrasts).sum(1), 0)
    return squares


def _bootstrap(reals: int, fakes: int, draws: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Mean of resampled reals less mean of resampled fakes."""
    drawn = (rng.multinomial(n, np.full(n, 1 / n), draws) / n for n in (reals, fakes))
    positive, negative = drawn
    return np.concatenate([positive, -negative], axis=1)


def _halvings(reals: int, fakes: int, draws: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Differences of random halves of each class, as noisy as the mean of the whole class."""
    return np.concatenate([_halves(n, draws, rng) for n in (reals, fakes)], axis=1)


def _halves(count: int, draws: int, rng: np.random.Generator) -> NDArray[np.float64]:
    one, other = count // 2, count - count // 2
    scale = np.sqrt(one * other) / count  # halves differ by the variance s^2 (1/one + 1/other), not s^2 / n
    split = np.repeat([scale / one, -scale / other], [one, other])
    return rng.permuted(np.tile(split, (draws, 1)), axis=1)
