"""The figure of related generators: dendrogram beside the matrix in its order."""

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter

from genimage_core.analysis.files import OWN_STYLE
from genimage_core.data.audit_figures import THEME
from genimage_core.relatedness import CHANCE, Relatedness, distance_of

CELL = 0.52  # inches
TREE = 2.0
LEGIBLE_BLACK = 0.72  # accuracy from which black is legible on `cividis` from 0.5 to 1


def relatedness_figure(found: Relatedness, threshold: float, title: str) -> Figure:
    """Draw the dendrogram, the names, and accuracies with suggested families framed.

    Args:
        found: The generators.
        threshold: Similarity at which families were cut.
        title: Stands above both.
    """
    count = len(found.names)
    names, side = 0.5 + 0.09 * max(map(len, found.names)), CELL * count
    # Heads of columns stand upright above the matrix, as long as the longest name.
    left, bottom, top = 0.3, 0.6, 0.3 + names
    width, height = left + TREE + names + side + 0.3, bottom + side + top
    with rc_context(OWN_STYLE):
        figure = Figure(figsize=(max(width, 5.0), height))
        width = figure.get_size_inches()[0]
        tree = figure.add_axes((left / width, bottom / height, TREE / width, side / height))
        matrix = figure.add_axes(
            ((left + TREE + names) / width, bottom / height, side / width, side / height)
        )
        _draw_tree(tree, found, threshold)
        _draw_matrix(matrix, found)
        for place, name in enumerate(found.names):
            tree.text(-0.05, place, name, ha="left", va="center", fontsize=10, clip_on=False)
        figure.text(left / width, 1 - 0.25 / height, title, fontsize=11, va="center")
    return figure


def _draw_tree(axes: Axes, found: Relatedness, threshold: float) -> None:
    count = len(found.names)
    where = [(float(place), 0.0) for place in range(count)]
    for one, other, distance, _ in found.merges.tolist():
        (y1, x1), (y2, x2) = where[int(one)], where[int(other)]
        axes.plot([x1, distance, distance, x2], [y1, y1, y2, y2], color=THEME["ink"], lw=1.2)
        where.append(((y1 + y2) / 2, distance))
    cut = float(distance_of(np.array(threshold)))
    axes.axvline(cut, color=THEME["ai"], lw=1, ls=(0, (4, 2)))
    axes.text(cut, -0.62, f"families: {threshold:g}", color=THEME["ai"], fontsize=8, ha="center")
    axes.set(xlim=(1.02, 0), ylim=(count - 0.5, -0.5), xlabel="similarity")
    axes.set_xticks([0.0, 0.4, 0.8])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda distance, _: f"{1 - (1 - CHANCE) * distance:g}"))
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def _draw_matrix(axes: Axes, found: Relatedness) -> None:
    count = len(found.names)
    axes.imshow(found.accuracy, cmap=colormaps["cividis"], vmin=CHANCE, vmax=1, interpolation="none")
    for (row, column), value in np.ndenumerate(found.accuracy):
        ink = "#000000" if value >= LEGIBLE_BLACK else "#ffffff"
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=ink, fontsize=9)
    axes.set_xticks(range(count), found.names, rotation=90, fontsize=10)
    axes.tick_params(colors=THEME["ink"], top=True, labeltop=True, bottom=False, labelbottom=False, length=0)
    axes.set_yticks([])
    axes.set_xlabel("tested on (row: trained on)", fontsize=10)
    axes.spines[:].set_visible(False)
    first = 0
    for members in found.families:
        size = len(members)
        frame = (first - 0.5, first - 0.5)
        axes.add_patch(Rectangle(frame, size, size, fill=False, ec=THEME["ai"], lw=2, clip_on=False))
        first += size
