"""PURE: the square that is cut from an image, at native scale or after a resize."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def cut_square(image: Image.Image, size: int, *, resize: bool = False) -> NDArray[np.uint8]:
    """Cut the central square out of an image.

    Args:
        image: In mode RGB.
        size: Side of the square in pixels.
        resize: Bring the short side to `size` first (bicubic, antialiased). Otherwise the scale stays, and an
            image that is too small is continued by reflection.

    Returns:
        Pixels, shape (size, size, 3), contiguous.
    """
    if resize:
        image = _resize_short_side(image, size)
    # Only what is kept becomes an array: the rest of a large image is not copied.
    left, top = max(0, image.width - size) // 2, max(0, image.height - size) // 2
    box = (left, top, left + min(size, image.width), top + min(size, image.height))
    return _continue_by_reflection(np.asarray(image.crop(box)), size)


def _resize_short_side(image: Image.Image, size: int) -> Image.Image:
    short = min(image.size)
    if short == size:
        return image
    width, height = (max(size, round(side * size / short)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC)


def _continue_by_reflection(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    tall, wide = size - height, size - width
    if not (tall or wide):
        return np.ascontiguousarray(pixels)
    pad = ((tall // 2, tall - tall // 2), (wide // 2, wide - wide // 2), (0, 0))
    return np.pad(pixels, pad, mode="reflect" if min(height, width) > 1 else "edge")
