"""PURE: flips, rotations and translations, drawn per image; beyond the border the image is mirrored.

The mirror stands on the outer edge of the border pixels (d c b a | a b c d | d c b a: `reflect` in SciPy,
`symmetric` in NumPy), and the mirrored image goes on for ever, so any distance is allowed.

Flips, translations and quarter turns of squares only move pixels. A rotation by another angle interpolates.

Strengths have one entry per image, n = B. They are best kept on the CPU, where they are looked at, to see
which images have to be computed. The result is always a new tensor; the images of a batch do not influence
each other, and one whose strength is zero comes back bit for bit.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

FULL_TURN = 360.0
KINDS = {torch.bool: "bool", torch.int64: "integers", torch.float32: "real numbers"}


def flip(images: Tensor, horizontal: Tensor, vertical: Tensor) -> Tensor:
    """Mirror images.

    Args:
        images: float32 (B, 3, H, W) in [0, 1].
        horizontal: bool (n,), whether left and right change places.
        vertical: bool (n,), whether top and bottom change places.

    Returns:
        float32 (B, 3, H, W).

    Raises:
        ValueError: If an argument is not what is described above.
    """
    check_images(images)
    result = images.clone()
    for field, chosen, dim in (("horizontal", horizontal, 3), ("vertical", vertical, 2)):
        check_strengths(field, chosen, len(images), torch.bool)
        change_rows(result, chosen, partial(torch.flip, dims=(dim,)))
    return result


def rotate(images: Tensor, degrees: Tensor) -> Tensor:
    """Rotate images about their centre; they keep their size.

    Bilinear interpolation averages neighbours, so it is a low-pass by itself: where a sample falls between
    pixels, high frequencies are weakened, and halfway between two of them the Nyquist frequency is gone. The
    multiples of 90 degrees on a square and of 180 degrees on any image are exempt, they only move pixels.

    Args:
        images: float32 (B, 3, H, W) in [0, 1].
        degrees: (n,), from -360 to 360, counter-clockwise as one looks at the image.

    Returns:
        float32 (B, 3, H, W) in [0, 1].

    Raises:
        ValueError: If an argument is not what is described above.
    """
    check_images(images)
    check_strengths("degrees", degrees, len(images), torch.float32, (-FULL_TURN, FULL_TURN))
    angle = degrees.cpu().double().remainder(FULL_TURN)
    exact = angle.remainder(90 if images.shape[2] == images.shape[3] else 180) == 0
    result = images.clone()
    change_rows(result, ~exact, partial(_interpolate, angle=angle[~exact]))
    for quarters in (1, 2, 3):
        turn = partial(torch.rot90, k=quarters, dims=(2, 3))
        change_rows(result, exact & (angle == 90 * quarters), turn)
    return result


def translate(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Shift images by whole pixels, without interpolation.

    Args:
        images: float32 (B, 3, H, W) in [0, 1].
        rows: integers (n,), pixels to shift down; negative is up.
        columns: integers (n,), pixels to shift to the right; negative is to the left.

    Returns:
        float32 (B, 3, H, W).

    Raises:
        ValueError: If an argument is not what is described above.
    """
    check_images(images)
    result = images.clone()
    for field, shift, dim in (("rows", rows, 2), ("columns", columns, 3)):
        check_strengths(field, shift, len(images), torch.int64)
        change_rows(result, shift != 0, partial(_shift, by=shift[shift != 0], dim=dim))
    return result


def mirrored(index: Tensor, size: int) -> Tensor:
    """Pixel of a row of `size` pixels that is seen at `index`, inside or any distance outside of the row."""
    index = index.remainder(2 * size)
    return torch.minimum(index, 2 * size - 1 - index)


def change_rows(images: Tensor, chosen: Tensor, change: Callable[[Tensor], Tensor]) -> None:
    """Replace, in place, the images for which `chosen`, bool (n,), holds by what `change` makes of them."""
    rows = chosen.nonzero().squeeze(1).to(images.device)
    if len(rows):
        images[rows] = change(images[rows])


def check_images(images: Tensor) -> None:
    """Raise a ValueError unless `images` is float32 (B, 3, H, W) with at least one pixel."""
    if images.dtype != torch.float32 or images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape[2:]:
        got = f"{_name(images.dtype)} of shape {tuple(images.shape)}"
        raise ValueError(f"images must be float32 of shape (B, 3, H, W), H and W at least 1, got {got}")


def check_strengths(
    field: str,
    values: Tensor,
    n: int,
    dtype: torch.dtype,
    within: tuple[float, float] = (-float("inf"), float("inf")),
) -> None:
    """Raise a ValueError unless there are `n` values of the kind that `KINDS` names, in a closed range."""
    if values.shape != (n,):
        raise ValueError(f"{field} must have shape ({n},), got {tuple(values.shape)}")
    if (dtype == torch.bool) != (values.dtype == torch.bool) or not torch.can_cast(values.dtype, dtype):
        raise ValueError(f"{field} must be {KINDS[dtype]}, got {_name(values.dtype)}")
    low, high = within
    outside = values[~((values >= low) & (values <= high))]
    if len(outside):
        raise ValueError(f"{field} must be within {low:g} to {high:g}, got {outside[0].item():g}")


def _interpolate(images: Tensor, angle: Tensor) -> Tensor:
    """Sample every image where the rotation by `angle`, float64 (B,), in degrees, takes its pixels from."""
    height, width = images.shape[2:]
    cos, sin = (
        part.float().to(images.device).view(-1, 1, 1)
        for part in (angle.deg2rad().cos(), angle.deg2rad().sin())
    )
    rows = torch.arange(height, device=images.device)[:, None] - (height - 1) / 2
    columns = torch.arange(width, device=images.device) - (width - 1) / 2
    # The centre is 0 and the outer edges of the image are -1 and 1.
    across = (cos * columns - sin * rows) / (width / 2)
    down = (cos * rows + sin * columns) / (height / 2)
    grid = torch.stack((across, down), -1)
    sampled = functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    return sampled.clamp_(0, 1)


def _shift(images: Tensor, by: Tensor, dim: int) -> Tensor:
    size = images.shape[dim]
    source = mirrored(torch.arange(size) - by.cpu().long()[:, None], size).to(images.device)
    source = source[:, None, :, None] if dim == 2 else source[:, None, None, :]
    return images.gather(dim, source.expand_as(images))


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
