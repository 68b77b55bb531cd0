"""Decoded images of one or several generators, and gathering batches from them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from genimage_core.data.recipe import digest


@dataclass(frozen=True)
class BadFile:
    """A file that was chosen and cannot be decoded.

    Attributes:
        generator: Of its set.
        split: `train` or `val`.
        label: 0 = nature, 1 = ai.
        path: Relative to the root.
        reason: In a few words, e.g. "truncated".
    """

    generator: str
    split: str
    label: int
    path: str
    reason: str


@dataclass(frozen=True)
class ImageSet:
    """Decoded images of one or several generators, read when they are asked for.

    Attributes:
        shards: Each (n, S, S, 3), uint8, RGB; read-only memory maps as a rule.
        labels: Shape (N,), uint8, 0 = nature, 1 = ai, over all shards.
        fingerprint: Hash of the files chosen and of everything that decides their pixels.
        margin: Pixels by which the stored sides are longer than those of the images; 0 unless crops are to
            be taken at random.
        bad: Files that are left out because they cannot be decoded.
        identity: Hash of which files were chosen, the same on every machine that has a copy of them.
        pins: What keeps the shards in the cache.
        rows: Which images of the shards these are, in this order, as `select` chose them; None for all.
    """

    shards: tuple[NDArray[np.uint8], ...]
    labels: NDArray[np.uint8]
    fingerprint: str
    margin: int = 0
    bad: tuple[BadFile, ...] = ()
    identity: str = ""
    pins: tuple[object, ...] = field(default=(), repr=False, compare=False)
    rows: NDArray[np.intp] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        count = sum(map(len, self.shards)) if self.rows is None else len(self.rows)
        if count != len(self.labels):
            raise ValueError(f"{count} images have {len(self.labels)} labels")

    @property
    def image_size(self) -> int:
        """Side of the images, in pixels."""
        return int(self.shards[0].shape[1]) - self.margin

    @cached_property
    def _ends(self) -> NDArray[np.intp]:
        return np.cumsum([len(shard) for shard in self.shards])

    def select(self, indices: Sequence[int] | NDArray[np.integer]) -> "ImageSet":
        """Return a view on images in [0, N), in any order, each as often as it is named; copies none.

        Raises:
            IndexError: If an index is out of range.
        """
        wanted = np.asarray(indices, dtype=np.intp)
        _require_within("image", wanted, len(self.labels) - 1)
        chosen = wanted.tolist()
        return replace(
            self,
            labels=self.labels[wanted],
            rows=self._stored(wanted),
            fingerprint=digest([self.fingerprint, chosen]),
            identity=digest([self.identity, chosen]),
        )

    def _stored(self, indices: NDArray[np.intp]) -> NDArray[np.intp]:
        """Where images lie, counted over all shards."""
        return indices if self.rows is None else self.rows[indices]

    def take(
        self,
        indices: Sequence[int] | NDArray[np.integer],
        out: NDArray[np.uint8] | None = None,
        offsets: NDArray[np.integer] | None = None,
    ) -> NDArray[np.uint8]:
        """Gather images.

        Args:
            indices: Which, in [0, N), any order.
            out: Array (n, size, size, 3) to write into; a new one by default. Memory that was used
                before is faster.
            offsets: Top and left of each crop, shape (n, 2), in [0, margin]; the centre by default.

        Raises:
            IndexError: If an index or offset is out of range.
        """
        size, wanted = self.image_size, np.asarray(indices, dtype=np.intp)
        corners = np.full((len(wanted), 2), self.margin // 2) if offsets is None else np.asarray(offsets)
        _require_within("image", wanted, len(self.labels) - 1)
        _require_within("offset", corners, self.margin)
        if out is None:
            out = np.empty((len(wanted), size, size, 3), dtype=np.uint8)
        if out.shape != (len(wanted), size, size, 3):
            raise IndexError(
                f"out has shape {out.shape}, {len(wanted)} images of {size} px are to be written"
            )
        stored = self._stored(wanted)
        shard_of = np.searchsorted(self._ends, stored, side="right")
        place_in = stored - np.append(0, self._ends)[shard_of]
        places = zip(shard_of.tolist(), place_in.tolist(), corners.tolist(), strict=True)
        for row, (shard, place, (top, left)) in enumerate(places):
            out[row] = self.shards[shard][place, top : top + size, left : left + size]
        return out


def _require_within(what: str, values: NDArray[np.integer], highest: int) -> None:
    if values.size and not (values.min() >= 0 and values.max() <= highest):
        raise IndexError(f"{what} must be within 0 to {highest}, got {values.min()} to {values.max()}")


def join(sets: Sequence[ImageSet]) -> ImageSet:
    """Put sets one after the other, as the training set of a fold with several generators; copies no image.

    Raises:
        ValueError: If their images differ in size.
    """
    if len(sets) == 1:
        return sets[0]
    if len({(s.image_size, s.margin) for s in sets}) != 1:
        raise ValueError(f"images of different sizes: {', '.join(str(s.image_size) for s in sets)}")
    return ImageSet(
        tuple(shard for s in sets for shard in s.shards),
        np.concatenate([s.labels for s in sets]),
        digest([s.fingerprint for s in sets]),
        sets[0].margin,
        tuple(bad for s in sets for bad in s.bad),
        digest([s.identity for s in sets]),
        tuple(pin for s in sets for pin in s.pins),
        _joined_rows(sets),
    )


def _joined_rows(sets: Sequence[ImageSet]) -> NDArray[np.intp] | None:
    if all(s.rows is None for s in sets):
        return None
    starts = np.cumsum([0, *(sum(map(len, s.shards)) for s in sets)])
    every = (np.arange(len(s.labels)) if s.rows is None else s.rows for s in sets)
    return np.concatenate([start + rows for start, rows in zip(starts, every, strict=False)])
