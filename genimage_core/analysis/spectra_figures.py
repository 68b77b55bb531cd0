"""Figures of spectra: radial curves of reals and fakes, and their planes with the difference."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from genimage_core.analysis.files import OWN_STYLE
from genimage_core.analysis.measure import GeneratorSpectra
from genimage_core.data.audit_figures import THEME
from genimage_core.spectra import centred
from genimage_core.spectral_distance import Distance

COLUMNS = 4
CELL = (2.5, 2.1)  # inches
PICTURE, GAP = 1.9, 0.14
LEFT, TOP, BOTTOM = 0.85, 0.66, 1.1
WIDTH = LEFT + 3 * PICTURE + 4 * GAP + 0.2
TICKS = (-0.25, 0, 0.25)  # where a grid of four pixels shows
POWER, DIFFERENCE = "cividis", "RdBu_r"  # both hold for colour-blind eyes; red is more in the fakes
EXTENT = (-0.5, 0.5, 0.5, -0.5)


def radial_figure(found: Sequence[GeneratorSpectra], title: str) -> Figure:
    """Draw the radial curves of reals and fakes, one small picture per generator on common axes.

    Args:
        found: At least one generator.
        title: Stands above all.
    """
    columns = min(len(found), COLUMNS)
    rows = -(-len(found) // columns)
    with rc_context(OWN_STYLE):
        width = max(CELL[0] * columns, 6.2)
        figure = Figure(figsize=(width, CELL[1] * rows + 1.0), layout="constrained")
        cells = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for cell, one in zip(cells, found, strict=False):
            _draw_curves(cell, one)
        for cell in cells[len(found) :]:
            cell.set_visible(False)
        for cell in cells[max(0, len(found) - columns) : len(found)]:
            cell.tick_params(labelbottom=True)  # also where the row below is not full
        figure.suptitle(title, fontsize=11)
        figure.supxlabel("radial frequency in cycles per pixel", fontsize=10)
        figure.supylabel("power in dB", fontsize=10)
        figure.legend(
            *cells[0].get_legend_handles_labels(), loc="outside lower right", ncols=2, frameon=False
        )
    return figure


def _draw_curves(cell: Axes, found: GeneratorSpectra) -> None:
    real, fake = found.radial
    cell.plot(found.frequency, real, color=THEME["nature"], lw=1.4, label="nature")
    cell.plot(found.frequency, fake, color=THEME["ai"], lw=1.4, ls=(0, (4, 1.2)), label="ai")
    cell.set_title(_heading(found.title, found.radial_distance), fontsize=9)
    cell.set_xlim(0, 0.5)
    cell.grid(lw=0.6)


def plane_figure(found: Sequence[GeneratorSpectra], title: str) -> Figure:
    """Draw the planes, zero frequency in the middle: reals, fakes, fakes less reals; a row per generator.

    Powers share one scale of colours, differences another that is symmetric about zero.

    Args:
        found: At least one generator.
        title: Stands above all.
    """
    planes = [[*map(_centred, one.plane), _centred(one.plane[1] - one.plane[0])] for one in found]
    power = Normalize(*np.quantile([p for row in planes for p in row[:2]], [0.005, 0.995]))
    most = float(np.quantile(np.abs([row[2] for row in planes]), 0.998)) or 1.0
    scales = (power, power, Normalize(-most, most))
    with rc_context(OWN_STYLE):
        figure, cells = _grid(len(found))
        for row, one, pictures in zip(cells, found, planes, strict=True):
            _draw_planes(row, one, pictures, scales)
        for cell, head in zip(cells[0], ("nature", "ai", "ai − nature"), strict=True):
            cell.set_title(head, fontsize=10)
        for cell in cells[-1]:
            cell.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
            cell.set_xlabel("cycles per pixel", fontsize=8)
        _colour_bar(figure, cells[-1][0], cells[-1][1], ScalarMappable(power, POWER), "power in dB")
        difference = ScalarMappable(scales[2], DIFFERENCE)
        _colour_bar(figure, cells[-1][2], cells[-1][2], difference, "difference in dB")
        figure.text(LEFT / WIDTH, 1 - 0.22 / figure.get_size_inches()[1], title, fontsize=11, va="center")
    return figure


def _grid(rows: int) -> tuple[Figure, list[list[Axes]]]:
    """Three columns of squares, room for heads above and for colour bars below; sizes are in inches."""
    height = TOP + rows * (PICTURE + GAP) + BOTTOM
    figure = Figure(figsize=(WIDTH, height))
    cells = [
        [
            figure.add_axes(
                (
                    (LEFT + column * (PICTURE + GAP) + (2 * GAP if column == 2 else 0)) / WIDTH,
                    1 - (TOP + (row + 1) * PICTURE + row * GAP) / height,
                    PICTURE / WIDTH,
                    PICTURE / height,
                )
            )
            for column in range(3)
        ]
        for row in range(rows)
    ]
    return figure, cells


def _centred(half: NDArray[np.float32]) -> NDArray[np.float32]:
    shown: NDArray[np.float32] = centred(torch.from_numpy(half), len(half)).numpy()
    middle = len(half) // 2
    shown[middle, middle] = shown[middle, middle + 1]  # f = 0 was taken off: no hole in the picture
    return shown


def _draw_planes(row: Any, found: GeneratorSpectra, pictures: Any, scales: Sequence[Normalize]) -> None:
    for cell, picture, scale, colours in zip(row, pictures, scales, (POWER, POWER, DIFFERENCE), strict=True):
        # "none" keeps every bin: a peak of one must not be averaged away.
        cell.imshow(picture, cmap=colours, norm=scale, extent=EXTENT, interpolation="none")
        cell.set_xticks([])
        cell.set_yticks([])
        cell.tick_params(labelsize=7, length=2)
    row[0].set_yticks(TICKS, [f"{tick:g}" for tick in TICKS])
    row[0].set_ylabel(_heading(found.title, found.plane_distance), fontsize=9)


def _heading(title: str, distance: Distance) -> str:
    return f"{title}\n{distance.value:.2f} dB, floor {distance.floor:.2f}"


def _colour_bar(figure: Figure, first: Axes, last: Axes, colours: ScalarMappable, label: str) -> None:
    """Draw a bar under the pictures from `first` to `last`."""
    height = figure.get_size_inches()[1]
    left, right = first.get_position().x0, last.get_position().x1
    axes = figure.add_axes((left, 0.55 / height, right - left, 0.12 / height))
    bar = figure.colorbar(colours, cax=axes, orientation="horizontal", extend="both", extendfrac=0.04)
    bar.set_label(label, fontsize=9)
    bar.ax.tick_params(labelsize=8)
