"""One image file to pixels: decoded, its format aligned, cut to a square."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genimage_core.data.alignment import LOSSLESS, reencode
from genimage_core.data.crop import cut_square
from genimage_core.data.file_facts import (
    BAD_HEADER,
    BOMB,
    MAX_BYTES,
    UNKNOWN_RANGE,
    formats,
    has_known_range,
    is_bomb,
    read_facts,
)
from genimage_core.data.jpeg_quality import jpeg_quality

LOSSLESS_FORMATS = ("PNG", "BMP", "GIF", "PPM")


class UnreadableImage(ValueError):
    """An image file that cannot be decoded.

    Attributes:
        reason: One of `file_facts.REASONS`, or "too large for JPEG".
    """

    def __init__(self, path: Path, reason: str, detail: object) -> None:
        super().__init__(f"cannot decode {path}: {reason} ({detail}); replace or remove the file")
        self.reason = reason


def decode(path: Path, size: int, *, quality: int | None = None, resize: bool = False) -> NDArray[np.uint8]:
    """Decode one file to (size, size, 3) uint8.

    Args:
        path: Any image that Pillow reads.
        size: Side of the square that is cut from its centre, in pixels.
        quality: JPEG quality at which the whole image is re-encoded first; None leaves it as it is.
        resize: Bring the short side to `size` instead of cropping at native scale with reflection.

    Raises:
        UnreadableImage: If the file cannot be decoded.
    """
    image = read_image(path)
    if quality is not None:
        try:
            image = reencode(image, quality)
        except OSError as error:
            raise UnreadableImage(path, "too large for JPEG", error) from error
    return cut_square(image, size, resize=resize)


def read_image(path: Path) -> Image.Image:
    """Decode a file fully, in mode RGB.

    Raises:
        UnreadableImage: If that cannot be done; a truncated file counts.
    """
    try:
        with _open(path) as file:
            if is_bomb(file.size):
                raise UnreadableImage(path, BOMB, f"{file.width} x {file.height} pixels")
            if not has_known_range(file):
                raise UnreadableImage(path, UNKNOWN_RANGE, f"Pillow's mode {file.mode}")
            return _to_rgb(file)
    except (MemoryError, UnreadableImage):
        raise
    except Exception as error:  # on damaged data decoders raise nearly everything
        reason = read_facts(path).error or BAD_HEADER
        raise UnreadableImage(path, reason, " ".join(str(error).split())) from error


def _open(path: Path) -> Image.Image:
    if not path.is_file():  # a pipe would be waited for
        raise OSError("no ordinary file")
    if (size := path.stat().st_size) > MAX_BYTES:
        raise OSError(f"{size:,} bytes")
    return Image.open(path, formats=formats())


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # Pillow would cut off at 255
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    rgb = image.convert("RGB")
    rgb.info.clear()  # comments and profiles would be written into a JPEG, or be too long for one
    return rgb


def read_size(path: Path) -> tuple[int, int] | None:
    """Return width and height by the header, None if it cannot be read."""
    try:
        with _open(path) as file:
            return file.size
    except Exception:  # as above
        return None


def read_format(path: Path) -> str | None:
    """Return the format by the header as Pillow names it, whatever the file is called; None if not known."""
    try:
        with _open(path) as file:
            return file.format
    except Exception:  # as above
        return None


def read_quality(path: Path) -> int | None:
    """Return the JPEG quality (1 to 100) by the header, `LOSSLESS`, or None if it is not known."""
    try:
        with _open(path) as file:
            if file.format in LOSSLESS_FORMATS:
                return LOSSLESS
            return jpeg_quality(getattr(file, "quantization", {}))
    except Exception:  # as above
        return None
