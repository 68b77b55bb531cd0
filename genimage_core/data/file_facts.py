"""What one image file is: size, format, JPEG quality, hash, and whether it decodes or why not."""

import hashlib
import io
import os
import stat
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image

from genimage_core.data.jpeg_quality import jpeg_quality

ZERO_BYTES, TRUNCATED, BAD_HEADER = "zero bytes", "truncated", "bad header"
NOT_AN_IMAGE, BOMB, UNREADABLE = "not an image", "decompression bomb", "unreadable"
UNKNOWN_RANGE = "unknown range"
REASONS = (ZERO_BYTES, TRUNCATED, BAD_HEADER, NOT_AN_IMAGE, BOMB, UNREADABLE, UNKNOWN_RANGE)

# Raster formats that Pillow decodes by itself: a PostScript file called .png must not start an interpreter.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
MAX_BYTES = 2**30  # more than `Image.MAX_IMAGE_PIXELS` pixels of 64 bits take
_WHOLE_BLOCK = 4096  # decoders may ask for more than this at a time and be content with less


@dataclass(frozen=True)
class FileFacts:
    """Facts about one file.

    Attributes:
        width: In pixels, as stored; None if the header does not tell.
        height: Likewise.
        format: As Pillow names it (`JPEG`, `PNG`, `WEBP`, ...); None if unknown.
        quality: JPEG quality, 1 to 100, by its quantisation tables; None if no JPEG or no standard table.
        bytes: Size of the file.
        mtime_ns: Time of its last change, in ns since 1970.
        content: BLAKE2b hash of its bytes, 32 hex digits; None if they cannot be read.
        error: None if it decodes, else one of `REASONS`.
    """

    width: int | None
    height: int | None
    format: str | None
    quality: int | None
    bytes: int
    mtime_ns: int
    content: str | None
    error: str | None


def read_facts(path: Path) -> FileFacts:
    """Read a file once, decode it fully, and say what it is.

    Never raises for a bad file: `error` gives the reason. "zero bytes": empty. "truncated": it ends early.
    "bad header": the signature of a known format, but the header or the compressed data contradict it.
    "not an image": no known format, or no ordinary file. "decompression bomb": more than Pillow's
    `Image.MAX_IMAGE_PIXELS` pixels, or text that unpacks to more than Pillow allows; it is not decoded.
    Or more than `MAX_BYTES`; it is not even read. "unreadable": the operating system refuses. "unknown
    range": pixels are real numbers or 32-bit integers, and no black and white are stated.

    What Pillow decodes is good, with its defaults: a PNG that lacks only its end mark is, a JPEG is not.
    """
    status: os.stat_result | None = None
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for
            return _facts(status, None, _Image(error=NOT_AN_IMAGE))
        if status.st_size > MAX_BYTES:
            return _facts(status, None, _Image(error=BOMB))
        data = path.read_bytes()
    except OSError:
        return _facts(status, None, _Image(error=UNREADABLE))
    return _facts(status, hashlib.blake2b(data, digest_size=16).hexdigest(), _inspect(data))


def read_batch(root: Path, names: Sequence[str]) -> tuple[Sequence[str], list[FileFacts]]:
    """Return `names`, which are paths relative to `root`, and the facts of these files in their order."""
    return names, [read_facts(root / name) for name in names]


@dataclass(frozen=True)
class _Image:
    size: tuple[int, int] | None = None
    format: str | None = None
    quality: int | None = None
    error: str | None = None


def _facts(status: os.stat_result | None, content: str | None, image: _Image) -> FileFacts:
    width, height = image.size or (None, None)
    size, mtime = (status.st_size, status.st_mtime_ns) if status else (0, 0)
    return FileFacts(width, height, image.format, image.quality, size, mtime, content, image.error)


def _inspect(data: bytes) -> _Image:
    if not data:
        return _Image(error=ZERO_BYTES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # damaged metadata is no news, and a bomb is told by its size
        try:
            with Image.open(io.BytesIO(data), formats=formats()) as image:
                if is_bomb(image.size):
                    return _describe(image, BOMB)
                image.load()
                return _describe(image, None if has_known_range(image) else UNKNOWN_RANGE)
        except Exception as error:  # on damaged data decoders raise nearly everything
            return _diagnose(data, error)


def _describe(image: Image.Image, error: str | None) -> _Image:
    return _Image(image.size, image.format, jpeg_quality(getattr(image, "quantization", {})), error)


@lru_cache(maxsize=1)
def formats() -> tuple[str, ...]:
    """Return those of `FORMATS` that this Pillow decodes."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def is_bomb(size: tuple[int, int]) -> bool:
    """Whether an image has more pixels than Pillow's limit, from which on it warns."""
    limit = Image.MAX_IMAGE_PIXELS
    return limit is not None and size[0] * size[1] > limit


def has_known_range(image: Image.Image) -> bool:
    """Whether it is known which values of the pixels are black and white."""
    # Deep PGM files are the only ones that Pillow reads as 32-bit integers of 16 bits.
    return image.mode != "F" and (image.mode != "I" or image.format == "PPM")


class _Watched(io.BytesIO):
    """Notes when it is asked for more than it has."""

    ran_out = False

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if size is not None and size > len(data) and (size <= _WHOLE_BLOCK or not data):
            self.ran_out = True
        return data


def _diagnose(data: bytes, error: Exception) -> _Image:
    """Say why data that failed to decode did, and what its header still tells."""
    accepted = [name for name in formats() if (accept := Image.OPEN[name][1]) and accept(data[:16])]
    if not accepted:
        return _Image(error=NOT_AN_IMAGE)
    # Opened by the format itself: Pillow's own `open` hides the size of a bomb and where a header broke off.
    watched, found = _Watched(data), _Image()
    try:
        image = Image.OPEN[accepted[0]][0](watched, "")
        found = _describe(image, None)
        if not is_bomb(image.size):
            image.load()
    except Exception as again:
        error = again
    reason = _reason(data, error, watched.ran_out, bomb=bool(found.size and is_bomb(found.size)))
    return _Image(found.size, found.format or accepted[0], found.quality, reason)


def _reason(data: bytes, error: Exception, ran_out: bool, *, bomb: bool) -> str:
    if bomb or "Decompressed data too large" in str(error):  # the latter: compressed text in a PNG
        return BOMB
    # WEBP is read in one go, but says how long it is.
    short_riff = data[:4] == b"RIFF" and len(data) < 8 + int.from_bytes(data[4:8], "little")
    return TRUNCATED if ran_out or short_riff else BAD_HEADER
