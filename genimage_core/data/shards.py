"""Decoded images on disk: uint8 shards and the manifest that tells what is in them."""

import io
import json
import os
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from genimage_core.data.recipe import digest

SHARD_BYTES = 256 * 2**20
MANIFEST = "manifest.json"
_READ_AT_ONCE = 2**24


@dataclass(frozen=True)
class Shard:
    """One .npy file of images.

    Attributes:
        name: File name.
        images: How many.
        bytes: Size of the file.
        crc32: Checksum of the file.
    """

    name: str
    images: int
    bytes: int
    crc32: int


@dataclass(frozen=True)
class Manifest:
    """What a folder of decoded images holds.

    Attributes:
        title: Generator and split.
        size: Side of the images, in pixels.
        shards: In order.
        files: Names of the files, in order.
        labels: Of the same files.
        bad: Name, label and reason of those that could not be decoded; they are not in the shards.
        recipe: How they were decoded, for people.
        created: Date and time, ISO 8601.
    """

    title: str
    size: int
    shards: tuple[Shard, ...]
    files: tuple[str, ...]
    labels: tuple[int, ...]
    bad: tuple[tuple[str, int, str], ...]
    recipe: dict[str, Any]
    created: str


def write_shards(folder: Path, images: Iterable[NDArray[np.uint8]], size: int) -> tuple[Shard, ...]:
    """Write images (size, size, 3) one after the other, as many to a shard as fit into `SHARD_BYTES`."""
    images, shards = iter(images), list[Shard]()
    per_shard = max(1, SHARD_BYTES // (size * size * 3))
    while (first := next(images, None)) is not None:
        group = chain([first], islice(images, per_shard - 1))
        shards.append(_write_shard(folder / f"{len(shards):05d}.npy", group, size))
    return tuple(shards)


def _write_shard(path: Path, images: Iterator[NDArray[np.uint8]], size: int) -> Shard:
    # Plain writes: on a full disk they raise, where a memory map would end the process.
    count = crc = 0
    with open_new(path) as file:
        start = file.write(_header(0, size))
        for image in images:
            file.write(image.data)
            crc, count = zlib.crc32(image.data, crc), count + 1
        file.seek(0)
        header = _header(count, size)
        assert file.write(header) == start, "the header has room for any count"
        sync(file)
    return Shard(path.name, count, path.stat().st_size, crc)


def open_new(path: Path) -> IO[bytes]:
    """Create a file."""
    return path.open("xb")


def sync(file: IO[bytes]) -> None:
    """Wait until what was written is on the disk."""
    file.flush()
    os.fsync(file.fileno())


def _header(count: int, size: int) -> bytes:
    buffer = io.BytesIO()
    shape = {"descr": "|u1", "fortran_order": False, "shape": (count, size, size, 3)}
    npy.write_array_header_1_0(buffer, shape)
    return buffer.getvalue()


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest, with a checksum of its own."""
    content = json.loads(json.dumps(asdict(manifest)))
    with open_new(folder / MANIFEST) as file:
        file.write(json.dumps({"checksum": digest(content), **content}, indent=1).encode())
        sync(file)


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a folder.

    Raises:
        ValueError: If it is damaged.
        OSError: If it is not there.
    """
    try:
        content = json.loads((folder / MANIFEST).read_bytes())
        checksum = content.pop("checksum")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{MANIFEST} is not readable") from error
    if checksum != digest(content):
        raise ValueError(f"{MANIFEST} is not what was written")
    shards = tuple(Shard(**shard) for shard in content.pop("shards"))
    bad = tuple((name, label, reason) for name, label, reason in content.pop("bad"))
    files, labels = tuple(content.pop("files")), tuple(content.pop("labels"))
    return Manifest(shards=shards, bad=bad, files=files, labels=labels, **content)


def check_shards(folder: Path, manifest: Manifest, *, contents: bool) -> None:
    """Compare sizes, and with `contents` checksums, with the manifest.

    Raises:
        ValueError: Naming the shard that differs.
    """
    for shard in manifest.shards:
        path = folder / shard.name
        size = path.stat().st_size if path.exists() else None
        if size != shard.bytes:
            raise ValueError(f"{shard.name} has {size or 0} bytes instead of {shard.bytes}")
        if contents and _checksum(path, manifest.size, shard.images) != shard.crc32:
            raise ValueError(f"{shard.name} is not what was written")


def _checksum(path: Path, size: int, count: int) -> int | None:
    """Checksum of the images of a shard, None if its header is not what it should be."""
    header, crc = _header(count, size), 0
    with path.open("rb") as file:
        if file.read(len(header)) != header:
            return None
        while block := file.read(_READ_AT_ONCE):
            crc = zlib.crc32(block, crc)
    return crc


def map_shards(folder: Path, manifest: Manifest) -> tuple[NDArray[np.uint8], ...]:
    """Map the shards into memory, read-only, each (n, size, size, 3)."""
    # As plain arrays: indexing a `memmap` costs several times as much.
    return tuple(
        np.asarray(np.load(folder / s.name, mmap_mode="r")).view(np.ndarray) for s in manifest.shards
    )
