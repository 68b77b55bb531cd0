"""PURE: the orthonormal cosine transform, type II, of squares, and bands of its coefficients."""

from collections.abc import Sequence

import torch
from torch import Tensor


def dct_matrix(size: int) -> Tensor:
    """Return D, float32 (size, size): D X D^T transforms a square, D^T Y D takes it back, D D^T = 1."""
    index = torch.arange(size, dtype=torch.float64)
    matrix: Tensor = torch.cos((index + 0.5) * torch.pi / size * index[:, None]) * (2 / size) ** 0.5
    matrix[0] /= 2**0.5
    return matrix.float()


def diagonal_bands(size: int, edges: Sequence[float]) -> Tensor:
    """Divide coefficients by the sum of their row and column, 0 to 2 size - 2.

    Args:
        size: Side of the square.
        edges: Upper ends of all bands but the last, which takes the rest, ascending; each belongs to its
            band.

    Returns:
        float32 (len(edges) + 1, size, size), 0 or 1; every coefficient is in one band.
    """
    sums = torch.arange(size)[:, None] + torch.arange(size)
    band = torch.bucketize(sums.double(), torch.tensor(list(edges), dtype=torch.float64))
    return torch.stack([(band == number).float() for number in range(len(edges) + 1)])
