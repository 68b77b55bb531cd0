"""Images that stand on both sides: in training and validation, or under both labels."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from genimage_core.data.ahead import processes

_LEAK = ["content", "path", "generator", "split", "label"]
_BITS = 64
_BATCH = 32
_PAIRS = 1_000_000  # candidate pairs compared at a time


Parts = Callable[[], Iterable[pd.DataFrame]]


@dataclass(frozen=True)
class Leaks:
    """Files whose bytes stand on both sides.

    Attributes:
        files: How many.
        rows: The first of them, sorted by content and path: `content` (equal for equal bytes), `path`,
            `generator`, `split`, `label`, and for its content `across_splits` and `across_labels` (bool).
    """

    files: int
    rows: pd.DataFrame


def exact_leaks(parts: Parts, most: int | None = None) -> Leaks:
    """Find the files whose bytes stand in both splits, of any generators, or under both labels.

    Files that do not decode are left out: they are never used. Of each file only a hash of 8 bytes is kept,
    so that millions fit into memory; that two of 2.7 million agree has a probability of 2e-7.

    Args:
        parts: Gives the index table in parts, each time it is called.
        most: How many rows to return; all if None.
    """
    sides = _on_both_sides(parts())
    rows, files = _first([], most), 0
    for part in parts():
        good = _good(part)
        place = sides.index.get_indexer(pd.Index(_hash(good)))
        good, side = good[place >= 0], sides.to_numpy()[place[place >= 0]]
        leaks = good.assign(across_splits=side & 3 == 3, across_labels=side & 12 == 12)
        rows, files = _first([rows, leaks], most), files + len(leaks)
    return Leaks(files, rows)


def _good(part: pd.DataFrame) -> pd.DataFrame:
    return part.loc[part["error"].isna() & part["content"].notna(), _LEAK]


def _hash(rows: pd.DataFrame) -> NDArray[np.uint64]:
    return pd.util.hash_array(rows["content"].to_numpy(dtype=object), categorize=False)


def _on_both_sides(parts: Iterable[pd.DataFrame]) -> "pd.Series[int]":
    """Sides of the contents that are on two, by their hash: 1 train, 2 val, 4 nature, 8 ai, added up."""
    hashes, bits = [np.empty(0, np.uint64)], [np.empty(0, np.uint8)]
    for part in parts:
        good = _good(part)
        hashes.append(_hash(good))
        side = np.where(good["split"] == "val", 2, 1) + np.where(good["label"] == 1, 8, 4)
        bits.append(side.astype(np.uint8))
    keys, numbers = np.unique(np.concatenate(hashes), return_inverse=True)
    sides = np.zeros(len(keys), np.uint8)
    np.bitwise_or.at(sides, numbers, np.concatenate(bits))
    both = (sides & 3 == 3) | (sides & 12 == 12)
    return pd.Series(sides[both], keys[both])


def _first(tables: Sequence[pd.DataFrame], most: int | None) -> pd.DataFrame:
    joined = pd.concat(tables) if tables else pd.DataFrame(columns=[*_LEAK, "across_splits", "across_labels"])
    ordered = joined.sort_values(["content", "path"], ignore_index=True)
    return ordered if most is None else ordered.head(most)


def near_leaks(
    table: pd.DataFrame,
    root: Path,
    *,
    distance: int = 4,
    workers: int = 0,
    report: Callable[[int, int | None], None] = lambda done, total: None,
) -> pd.DataFrame:
    """Return the validation images that look like a training image: copies encoded again or resized.

    Alike means that the perceptual hashes (64 bits from the lowest frequencies of the cosine transform;
    Zauner 2010, as `imagehash.phash`) differ in at most `distance` bits. Flat images all look alike to it.
    Every image is decoded once.

    Args:
        table: Index table; files that do not decode are left out.
        root: Data root that its paths are relative to.
        distance: Largest number of bits that differ, 0 to 16.
        workers: Processes that decode; 0 decodes in this one.
        report: Called with the number of images hashed and of all.

    Returns:
        One row for each such validation image, sorted by path: `path`, `generator`, `label`; `train_path`,
        `train_generator`, `train_label` of the training image nearest to it; their `distance` in bits;
        `matches`, the number of training images within the bound.

    Raises:
        ValueError: If `distance` is out of range or the library for the hashes is not installed.
    """
    check_near(distance)
    good = table[table["error"].isna()].sort_values("path")
    hashes = _hash_images(root, list(good["path"]), workers, report)
    validation = (good["split"] == "val").to_numpy()
    matches = match_hashes(hashes[validation], hashes[~validation], distance)
    val, train = good[validation].iloc[matches["first"]], good[~validation].iloc[matches["second"]]
    return pd.DataFrame(
        {name: val[name].to_numpy() for name in ("path", "generator", "label")}
        | {f"train_{name}": train[name].to_numpy() for name in ("path", "generator", "label")}
        | {name: matches[name].to_numpy() for name in ("distance", "matches")}
    )


def check_near(distance: int) -> None:
    """Refuse what `near_leaks` refuses, before there is any work.

    Raises:
        ValueError: If `distance` is out of range or the library for the hashes is not installed.
    """
    if not 0 <= distance <= 16:
        raise ValueError(f"the distance is {distance} bits; it must lie between 0 and 16 of {_BITS}")
    _imagehash()


def match_hashes(first: NDArray[np.uint64], second: NDArray[np.uint64], distance: int) -> pd.DataFrame:
    """Find for each hash of `first` those of `second` within a Hamming distance.

    Hashes that differ in at most `d` of 64 bits agree in at least one of `d + 1` bands of bits, so only those
    that share a band are compared.

    Returns:
        One row for each of `first` that has any: `first` and `second` (positions; of equally near ones the
        earliest), `distance` (bits), `matches` (how many of `second`).
    """
    ours, our_numbers = np.unique(first, return_inverse=True)
    theirs, earliest, counts = np.unique(second, return_index=True, return_counts=True)
    pairs = pd.concat(
        [_match_band(ours, theirs, band, distance) for band in _bands(distance + 1)], ignore_index=True
    ).drop_duplicates(["ours", "theirs"])
    pairs["second"], pairs["matches"] = earliest[pairs["theirs"]], counts[pairs["theirs"]]
    pairs = pairs.sort_values(["ours", "distance", "second"])
    best = pairs.groupby("ours").agg({"second": "first", "distance": "first", "matches": "sum"})
    rows = pd.DataFrame({"first": np.arange(len(first)), "ours": our_numbers})
    return rows.merge(best, left_on="ours", right_index=True).drop(columns="ours").reset_index(drop=True)


def _bands(count: int) -> list[np.uint64]:
    """Masks that share the 64 bits out among `count` bands."""
    edges = [_BITS * i // count for i in range(count + 1)]
    pairs = pairwise(edges)
    return [np.uint64((1 << end) - (1 << start)) for start, end in pairs]


def _match_band(
    ours: NDArray[np.uint64], theirs: NDArray[np.uint64], mask: np.uint64, distance: int
) -> pd.DataFrame:
    """Pairs of positions that agree in a band and are near."""
    order = np.argsort(theirs & mask, kind="stable")
    keys = (theirs & mask)[order]
    starts = np.searchsorted(keys, ours & mask, "left")
    sizes = np.searchsorted(keys, ours & mask, "right") - starts
    found = [pd.DataFrame({"ours": [], "theirs": [], "distance": []}, dtype=np.int64)]
    for block in _blocks(sizes):
        left = np.repeat(np.arange(block.start, block.stop), sizes[block])
        offsets = np.arange(len(left)) - np.repeat(np.cumsum(sizes[block]) - sizes[block], sizes[block])
        right = order[np.repeat(starts[block], sizes[block]) + offsets]
        bits = np.bitwise_count(ours[left] ^ theirs[right])
        near = bits <= distance
        found.append(
            pd.DataFrame({"ours": left[near], "theirs": right[near], "distance": bits[near].astype(np.int64)})
        )
    return pd.concat(found, ignore_index=True)


def _blocks(sizes: NDArray[np.intp]) -> Iterator[slice]:
    """Cut positions into runs of about `_PAIRS` candidates, each at least one position."""
    run = np.cumsum(sizes) // _PAIRS
    edges = [0, *(np.flatnonzero(np.diff(run)) + 1).tolist(), len(sizes)]
    return (slice(start, end) for start, end in pairwise(edges) if end > start)


def _hash_images(
    root: Path, names: list[str], workers: int, report: Callable[[int, int | None], None]
) -> NDArray[np.uint64]:
    hashes: list[int] = []
    calls = ((root, names[start : start + _BATCH]) for start in range(0, len(names), _BATCH))
    with processes(workers) as map_ahead:
        for batch in map_ahead(_hash_batch, calls):
            hashes += batch
            report(len(hashes), len(names))
    return np.array(hashes, dtype=np.uint64)


def _hash_batch(root: Path, names: list[str]) -> list[int]:
    return [perceptual_hash(root / name) for name in names]


def perceptual_hash(path: Path) -> int:
    """Return the 64-bit perceptual hash of an image.

    Raises:
        ValueError: If it cannot be decoded, as when it changed since it was indexed.
    """
    try:
        with Image.open(path) as image:
            bits = _imagehash().phash(image, hash_size=math.isqrt(_BITS)).hash
    except (OSError, SyntaxError) as error:
        raise ValueError(f"cannot decode {path} ({error}); index the data root again") from error
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _imagehash() -> Any:
    try:
        import imagehash
    except ImportError as error:
        raise ValueError(
            "near-duplicates need the library imagehash; install it with "
            "`uv sync --extra near-duplicates` or `pip install imagehash`"
        ) from error
    return imagehash
