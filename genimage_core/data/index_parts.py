"""Parquet parts of the index: a folder for each place, a part for some thousand of its files.

A part is written under a temporary name and renamed when it is whole, so what has a part's name is finished.
A part is never changed: what replaces it has a higher number, and of two parts that tell of one file the
higher is right.
"""

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from genimage_core.data.file_facts import UNREADABLE, FileFacts
from genimage_core.data.imagenet_class import imagenet_class
from genimage_core.data.layout import Place

SCHEMA = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("generator", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("label", pa.int8(), nullable=False),
        pa.field("imagenet_class", pa.int16()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("format", pa.string()),
        pa.field("quality", pa.int16()),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("mtime_ns", pa.int64(), nullable=False),
        pa.field("content", pa.string()),
        pa.field("error", pa.string()),
    ]
)
_FROM_FACTS = ("width", "height", "format", "quality", "bytes", "mtime_ns", "content", "error")
_REPETITIVE = [
    "generator",
    "split",
    "label",
    "imagenet_class",
    "width",
    "height",
    "format",
    "quality",
    "error",
]
_PART = re.compile(r"\d{6}\.parquet")
_NEVER = -1  # an mtime that no file has


def folder_name(place: Place, root: Path) -> str:
    """Return the name of the folder that holds a place's parts: readable, and its own."""
    where = place.folder.relative_to(root).as_posix()
    identity = "\0".join((place.generator, place.split, str(place.label), where, *place.patterns))
    digest = hashlib.sha256(identity.encode()).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9_.-]', '_', place.generator)}-{place.split}-{place.label}-{digest}"


def list_parts(folder: Path) -> list[str]:
    """Return the names of the finished parts in a folder, oldest first."""
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if _PART.fullmatch(path.name))


def read_part(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the rows of a part."""
    # Not `pq.read_table`: it would make columns of folders called like `key=value`.
    with pq.ParquetFile(path) as file:
        return file.read(columns=columns)


def to_table(place: Place, names: Sequence[str], facts: Sequence[FileFacts]) -> pa.Table:
    """Return one row for each file; `names` are paths relative to the data root."""
    size = len(names)
    columns = {
        "path": list(names),
        "generator": [place.generator] * size,
        "split": [place.split] * size,
        "label": [place.label] * size,
        "imagenet_class": [imagenet_class(name) for name in names],
    }
    columns |= {name: [getattr(fact, name) for fact in facts] for name in _FROM_FACTS}
    return pa.table(columns, schema=SCHEMA)


class PartWriter:
    """Collects rows and writes them as parts of `chunk` rows, the last one smaller.

    Attributes:
        names: Names of the parts written.
    """

    def __init__(self, folder: Path, chunk: int) -> None:
        self.names: list[str] = []
        self._folder, self._chunk = folder, chunk
        self._tables: list[pa.Table] = []
        self._next = max((int(name[:6]) for name in list_parts(folder)), default=-1) + 1

    def add(self, table: pa.Table) -> None:
        """Take rows, and write the parts that they fill."""
        self._tables.append(table)
        while self.waiting >= self._chunk:
            rows = pa.concat_tables(self._tables)
            self._tables = [rows.slice(self._chunk)]
            self._write(rows.slice(0, self._chunk))

    def finish(self) -> None:
        """Write what is left."""
        if self.waiting:
            self._write(pa.concat_tables(self._tables))
        self._tables = []

    @property
    def waiting(self) -> int:
        """Rows taken and not yet written."""
        return sum(table.num_rows for table in self._tables)

    def _write(self, rows: pa.Table) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        name = f"{self._next:06d}.parquet"
        buffer = pa.BufferOutputStream()
        pq.write_table(rows, buffer, compression="zstd", use_dictionary=_REPETITIVE)
        write_atomically(self._folder / name, memoryview(buffer.getvalue()))
        self._next += 1
        self.names.append(name)


def write_atomically(path: Path, data: bytes | memoryview) -> None:
    """Write a file under a temporary name, make it safe on the disk, and rename it."""
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


@dataclass(frozen=True)
class Known:
    """What a place's parts tell of its files, compact enough for millions: 28 bytes each.

    Attributes:
        parts: Names of the readable parts.
        keys: Shape (N,), uint64, ascending: hashes of the relative paths. That two of 2.7 million agree has
            a probability of 2e-7, and even that is harmless unless size and time agree too.
        sizes: Shape (N,), int64, bytes.
        times: Shape (N,), int64, ns; a time that none has for files that could not be read: they are tried
            again.
        rows: Shape (N,), int32, row among all the parts' rows.
        ends: Shape (len(parts) + 1,), int64: part `i` has the rows `ends[i]` to `ends[i + 1]`.
    """

    parts: tuple[str, ...]
    keys: NDArray[np.uint64]
    sizes: NDArray[np.int64]
    times: NDArray[np.int64]
    rows: NDArray[np.int32]
    ends: NDArray[np.int64]

    def find(self, names: Sequence[str]) -> NDArray[np.intp]:
        """Return the position of each relative path, -1 where it is not known."""
        keys = hash_paths(names)
        places = np.searchsorted(self.keys, keys)
        inside = np.minimum(places, max(len(self.keys) - 1, 0))
        hit = self.keys[inside] == keys if len(self.keys) else np.zeros(len(keys), dtype=bool)
        return np.where(hit, inside, -1)


def hash_paths(names: Sequence[str]) -> NDArray[np.uint64]:
    """Return a 64-bit hash of each string."""
    return pd.util.hash_array(np.array(names, dtype=object), categorize=False)


def load_known(folder: Path) -> Known:
    """Read what the finished parts of a folder tell; damaged ones are passed over: their files are new."""
    loaded = list(_load_columns(folder))
    counts = [len(keys) for _, keys, _, _ in loaded]
    keys = np.concatenate([keys for _, keys, _, _ in loaded] or [np.empty(0, np.uint64)])
    sizes = np.concatenate([sizes for _, _, sizes, _ in loaded] or [np.empty(0, np.int64)])
    times = np.concatenate([times for _, _, _, times in loaded] or [np.empty(0, np.int64)])
    # `unique` keeps the first of equal keys; the newest part is to win.
    unique, backward = np.unique(keys[::-1], return_index=True)
    rows = (len(keys) - 1 - backward).astype(np.int32)
    ends = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Known(tuple(name for name, *_ in loaded), unique, sizes[rows], times[rows], rows, ends)


def _load_columns(
    folder: Path,
) -> Iterator[tuple[str, NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]]:
    for name in list_parts(folder):
        try:
            table = read_part(folder / name, ["path", "bytes", "mtime_ns", "error"])
        except (OSError, pa.ArrowException):
            continue
        refused = np.array([error == UNREADABLE for error in table["error"].to_pylist()], dtype=bool)
        times = np.where(refused, _NEVER, table["mtime_ns"].to_numpy())
        yield name, hash_paths(table["path"].to_pylist()), table["bytes"].to_numpy(), times
