"""JPEG quality, read back from the quantisation tables."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

# Luminance table of Annex K.1 (ITU-T T.81), in natural (row by row) order: Pillow's since 8.3.
ANNEX_K_LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)


def luminance_tables() -> NDArray[np.int64]:
    """Return the luminance tables of qualities 1 to 100, shape (100, 64): row `q - 1` is quality `q`.

    Source: `jpeg_quality_scaling` and `jpeg_add_quant_table` of the Independent JPEG Group's library,
    restricted to baseline tables (entries 1 to 255).
    """
    quality = np.arange(1, 101)
    scale = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    table = np.array(ANNEX_K_LUMINANCE).reshape(-1)
    scaled: NDArray[np.int64] = (table * scale[:, None] + 50) // 100
    return scaled.clip(1, 255)


_TABLES = luminance_tables()


def jpeg_quality(tables: Mapping[int, Sequence[int]]) -> int | None:
    """Estimate the quality (1 to 100) with which a JPEG was written.

    Exact for libjpeg and everything that scales its table, Pillow among them. A table that is slightly off
    (other rounding, other clipping) still gets the quality it is near to; near means at most half as
    far, in mean absolute difference of the entries, as that quality's table is from its neighbour's.

    Args:
        tables: Quantisation tables in natural order, as Pillow's `image.quantization`; the first is
            luminance.

    Returns:
        The quality, or None if there is no table or it is near no standard one.
    """
    return _nearest(tuple(tables[min(tables)])) if tables else None


@lru_cache(maxsize=1024)  # the files of a data set share a few tables
def _nearest(table: tuple[int, ...]) -> int | None:
    if len(table) != _TABLES.shape[1]:
        return None
    distances = _distances(np.array(table))
    best = int(distances.argmin())
    neighbour = np.delete(_distances(_TABLES[best]), best).min()
    return best + 1 if distances[best] <= neighbour / 2 else None


def _distances(table: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean absolute difference to each quality's table."""
    means: NDArray[np.float64] = np.abs(_TABLES - table).mean(axis=1)
    return means
