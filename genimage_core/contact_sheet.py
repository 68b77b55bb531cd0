"""A picture of what a space does to an image: every operation at three strengths, differences and spectra."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from genimage_core.data.pixels import decode
from genimage_core.policy import FrequencyPolicy
from genimage_core.settings import require
from genimage_core.showcase import show, single_operations
from genimage_core.spectrum import log_amplitude_picture, scaled_by
from genimage_core.training import to_batch

SHARES = (1 / 3, 2 / 3, 1.0)
CONTRAST = 4  # by which differences are shown enlarged
CELL = 1.15  # inches
HEADS = ("image", f"difference x{CONTRAST}", "log-spectrum")


def draw_contact_sheet(
    image: Path, space: Mapping[str, Any], *, size: int, partner: Path | None = None, seed: int = 0
) -> Figure:
    """Draw the original and, row by row, each operation of a space at three strengths.

    Three times three pictures by operation, at a third, two thirds and all of its greatest strength: the
    image, how it differs from the original, and its spectrum.

    Args:
        image: Any image that Pillow reads; its centre is shown at native scale.
        space: The `space` section of a space file.
        size: Side of what is shown, in pixels, at least 1.
        partner: Image whose amplitudes are mixed in; by default the first one turned by a quarter.
        seed: Of the random fields.

    Raises:
        ValueError: If an image cannot be read, the size is not allowed, or the space has no operation.
    """
    require(isinstance(size, int) and size >= 1, "size", size, "a whole number of pixels, at least 1")
    policies = single_operations(space)
    if not policies:
        raise ValueError("the space changes no image: it names no operation, or only with zero strength")
    pair = _pair(image, partner, size)
    figure = Figure(figsize=(CELL * 9 + 1.1, CELL * (len(policies) + 1) + 0.5), layout="constrained")
    cells = figure.subplots(len(policies) + 1, 9)
    _draw_original(cells[0], pair[:1])
    for row, (name, policy) in zip(cells[1:], policies.items(), strict=True):
        _draw_operation(row, name, policy, pair, seed)
    return figure


def _pair(image: Path, partner: Path | None, size: int) -> Tensor:
    first = decode(image, size)
    second = decode(partner, size) if partner else np.rot90(first)
    return to_batch(np.stack([first, second]), torch.device("cpu")).contiguous()


def _draw_original(row: Any, image: Tensor) -> None:
    for cell in row:
        cell.axis("off")
    _put(row[0], image[0], "original")
    _put(row[6], _spectrum(image, image), "log-spectrum")


def _draw_operation(row: Any, name: str, policy: FrequencyPolicy, pair: Tensor, seed: int) -> None:
    row[0].set_ylabel(name.replace(" ", "\n"), fontsize=9)
    for place, share in enumerate(SHARES):
        changed = show(pair, policy, share, seed)[:1]
        difference = (0.5 + CONTRAST * (changed - pair[:1])).clamp(0, 1)
        shown = (changed[0], difference[0], _spectrum(changed, pair[:1]))
        for group, (picture, head) in enumerate(zip(shown, HEADS, strict=True)):
            _put(row[3 * group + place], picture, f"{head}, {share:.0%}")


def _spectrum(image: Tensor, reference: Tensor) -> Tensor:
    pictures = (log_amplitude_picture(x.mean(1, keepdim=True)) for x in (image, reference))
    return scaled_by(*pictures).expand(-1, 3, -1, -1)[0]


def _put(cell: Axes, picture: Tensor, title: str) -> None:
    cell.imshow(picture.permute(1, 2, 0).clamp(0, 1).numpy(), interpolation="nearest")
    cell.set_title(title, fontsize=6, pad=2)
    cell.set_xticks([])
    cell.set_yticks([])
