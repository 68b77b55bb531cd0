"""Small data roots in GenImage's layout, whole and damaged, and their `Layout` made by hand."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from genimage_core.data.layout import CLASS_FOLDERS, EXTENSIONS, Layout, Place
from genimage_core.generators import GENIMAGE


def genimage_layout(root, generators=("sd14", "adm")):
    places = []
    for name in generators:
        generator = GENIMAGE.get(name)
        for split in ("train", "val"):
            for label, folder in enumerate(CLASS_FOLDERS):
                path = root / generator.top / generator.inner / split / folder
                places.append(Place(name, split, label, path))
    return Layout(root, "genimage", GENIMAGE, tuple(places))


def encoded(kind="PNG", size=(24, 16), seed=0, mode="RGB", **options):
    """The bytes of a random image; `size` is (width, height)."""
    width, height = size
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def png_chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_bomb(width=40_000, height=30_000):
    """A PNG of a few bytes whose header promises more pixels than Pillow allows."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 64)
    return (
        b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")
    )


def tiff_of_floats(seed):
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).random((16, 24), dtype=np.float32)).save(buffer, "TIFF")
    return buffer.getvalue()


def with_flipped(data, position):
    return data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :]


def damaged(reason, seed=0):
    """Bytes that must be told to be `reason`, or None for a good image."""
    png, jpeg = encoded(seed=seed), encoded("JPEG", seed=seed)
    return {
        None: png,
        "zero bytes": b"",
        "truncated": jpeg[: len(jpeg) // 2],
        "bad header": with_flipped(png, 18),
        "not an image": f"no image, number {seed}".encode(),
        "decompression bomb": png_bomb(40_000 + seed),
        "unknown range": tiff_of_floats(seed),
    }[reason]


def write_places(layout, count, seed=0, reasons=(None,)):
    """Write `count` files to each place, each damaged in a way drawn from `reasons`."""
    rng = np.random.default_rng(seed)
    for number, place in enumerate(layout.places):
        place.folder.mkdir(parents=True, exist_ok=True)
        for index in range(count):
            reason = reasons[rng.integers(len(reasons))]
            data = damaged(reason, seed=seed + 1000 * number + index)
            (place.folder / f"{index:03d}_sdv4_{index:05d}.png").write_bytes(data)


def image_files(folder):
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in EXTENSIONS)
