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
    if resize and min(image.size) != size:
        return _resize(image, size)
    # Only what is kept becomes an array: the rest of a large image is not copied.
    left, top = max(0, image.width - size) // 2, max(0, image.height - size) // 2
    box = (left, top, left + min(size, image.width), top + min(size, image.height))
    return _continue_by_reflection(np.asarray(image.crop(box)), size)


def _resize(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """Bring the short side to `size`, making only what the square needs: ends of a long image cost memory."""
    short, box = min(image.size), list[float]()
    for side in image.size:
        resized = max(size, round(side * size / short))
        first = (resized - size) // 2
        box += [first * side / resized, (first + size) * side / resized]
    left, right, top, bottom = box
    return np.array(image.resize((size, size), Image.Resampling.BICUBIC, (left, top, right, bottom)))


def _continue_by_reflection(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    tall, wide = size - height, size - width
    if not (tall or wide):
        return np.ascontiguousarray(pixels)
    # The larger half first: then a larger square has the smaller one in its middle, whatever the side.
    pad = ((tall - tall // 2, tall // 2), (wide - wide // 2, wide // 2), (0, 0))
    return np.pad(pixels, pad, mode="reflect")
