"""Tables to SVG text: no script, no outside reference, the same bytes for the same table.

Lines and text are drawn in a few fixed colours that become CSS variables, so a page can restyle them for
dark mode; the second value of each variable keeps a figure readable where there is no style sheet.
"""

import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from reports.importance import Importance
from reports.matrices import Cell, Matrix
from reports.tables import Point
from reports.wording import capitalised, metric_title, number, signed

# Okabe and Ito's blue, vermillion, green and purple; matplotlib draws them, the page may restyle them.
THEME = {
    "ink": "#1c2128",
    "muted": "#5a6472",
    "grid": "#dcdfe4",
    "paper": "#fcfcfb",
    "trial": "#0072b2",
    "baseline": "#d55e00",
    "leader": "#009e73",
    "fourth": "#cc79a7",
}
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "text.color": THEME["ink"],
    "axes.edgecolor": THEME["muted"],
    "axes.labelcolor": THEME["ink"],
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "xtick.color": THEME["muted"],
    "ytick.color": THEME["muted"],
    "grid.color": THEME["grid"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,
}
CHANCE, PERFECT = 0.5, 1.0
CELL = (0.92, 0.66)  # inches
WIDTH = 6.4


def heat_map(matrix: Matrix, prefix: str, *, differences: bool = False) -> str:
    """Draw a cross-generator matrix: accuracy, real and fake accuracy beneath it, counted cells framed.

    Args:
        matrix: The table.
        prefix: Unique on the page; every id inside the figure starts with it.
        differences: Whether its cells are differences of accuracies.
    """
    draw = _draw_difference if differences else _draw_cell
    rows, columns = len(matrix.folds), len(matrix.generators)
    labels = [shorten(title, 24) for title in matrix.row_titles]
    heads = [_in_two_lines(title, 11) for title in matrix.column_titles]
    margin, higher = 0.7 + 0.105 * max([11, *map(len, labels)]), 0.25 * any("\n" in head for head in heads)
    top = (1.6 if matrix.families else 1.15) + higher
    with rc_context(STYLE):
        figure = Figure(figsize=(CELL[0] * (columns + margin - 0.4), CELL[1] * (rows + top - 0.45)))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(-margin, columns - 0.4), ylim=(rows - 0.45, -top))
        axes.axis("off")
        axes.text(-0.62, -0.72, "trained on ↓", ha="right", va="center", fontsize=9, color=THEME["muted"])
        for column, head in enumerate(heads):
            axes.text(column, -0.64, head, ha="center", va="baseline", fontsize=9, linespacing=1)
        for row, (label, cells) in enumerate(zip(labels, matrix.cells, strict=True)):
            axes.text(-0.62, row, label, ha="right", va="center", fontsize=10)
            for column, cell in enumerate(cells):
                draw(axes, row, column, cell)
        for family, first, last in matrix.families:
            _draw_bracket(axes, family, first, last, higher)
        return to_svg(figure, prefix, smallest=0.72)


def shorten(text: str, length: int) -> str:
    """Leave out the middle of a text that is too long: names often differ at their ends alone."""
    end = (length - 1) // 2
    return text if len(text) <= length else f"{text[: length - 1 - end]}…{text[-end:]}"


def _in_two_lines(text: str, length: int) -> str:
    """Break a text that is longer than a line, at a space or underscore if there is one about the middle."""
    if len(text) <= length:
        return text
    text = shorten(text, 2 * length)
    places = [place + 1 for place, letter in enumerate(text[:length]) if letter in " _-."]
    fitting = [place for place in places if len(text) - place <= length]
    place = fitting[-1] if fitting else min(length, (len(text) + 1) // 2)
    return f"{text[:place].rstrip()}\n{text[place:]}"


def _draw_cell(axes: Axes, row: int, column: int, cell: Cell | None) -> None:
    accuracy = cell.score.accuracy if cell else None
    if cell is None or accuracy is None:
        axes.add_patch(Rectangle((column - 0.44, row - 0.42), 0.88, 0.84, fill=False, ec=THEME["grid"]))
        axes.text(column, row, "–", ha="center", va="center", color=THEME["muted"])
        return
    shade = colormaps["cividis"]((accuracy - CHANCE) / (PERFECT - CHANCE))
    halves = f"{_short(cell.score.real_accuracy)} / {_short(cell.score.fake_accuracy)}"
    _fill_cell(axes, row, column, shade, number(accuracy), halves, framed=cell.counts)


def _draw_difference(axes: Axes, row: int, column: int, cell: Cell | None) -> None:
    accuracy = cell.score.accuracy if cell else None
    if cell is None or accuracy is None:
        _draw_cell(axes, row, column, None)
        return
    shade = colormaps["PuOr_r"](0.5 + accuracy / (2 * (PERFECT - CHANCE)))
    halves = f"{_signed_short(cell.score.real_accuracy)} / {_signed_short(cell.score.fake_accuracy)}"
    _fill_cell(axes, row, column, shade, signed(accuracy), halves, framed=cell.counts)


def _fill_cell(
    axes: Axes, row: int, column: int, shade: Sequence[float], value: str, halves: str, *, framed: bool
) -> None:
    axes.add_patch(Rectangle((column - 0.44, row - 0.42), 0.88, 0.84, fc=shade, ec="none"))
    ink = "#000000" if _luminance(shade) > 0.18 else "#ffffff"
    axes.text(column, row - 0.12, value, ha="center", va="center", color=ink, fontsize=12)
    axes.text(column, row + 0.22, halves, ha="center", va="center", color=ink, fontsize=8.5)
    if framed:
        frame = Rectangle((column - 0.475, row - 0.465), 0.95, 0.93, fill=False, ec=THEME["ink"], lw=1.5)
        axes.add_patch(frame)


def _draw_bracket(axes: Axes, family: str, first: int, last: int, higher: float) -> None:
    axes.plot(
        [first - 0.4, first - 0.4, last + 0.4, last + 0.4],
        [y - higher for y in (-1.05, -1.15, -1.15, -1.05)],
        color=THEME["muted"],
        lw=1,
    )
    axes.text(
        (first + last) / 2,
        -1.38 - higher,
        f"family {family.replace('_', ' ')}",
        ha="center",
        va="center",
        fontsize=8.5,
        color=THEME["muted"],
    )


def _luminance(colour: Sequence[float]) -> float:
    """Relative luminance of WCAG 2; at 0.18 black and white text contrast equally well."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _signed_short(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2f}".replace("-", "−").replace("0.", ".")  # to fit the cell


def history(points: Sequence[Point], objective: str, prefix: str) -> str:
    """Draw every trial's value, the best so far and the baseline.

    Failed trials are crosses on the axis; interrupted ones are triangles, on the axis if without a value.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.4))
        axes = figure.add_axes((0.13, 0.15, 0.855, 0.72))
        axes.grid(axis="y", lw=0.8)
        axes.set_axisbelow(True)
        _draw_lines(axes, points)
        _draw_trials(axes, points)
        axes.set_xlabel("trial")
        axes.set_ylabel(capitalised(metric_title(objective)))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if axes.get_legend_handles_labels()[0]:
            axes.legend(
                loc="lower left",
                bbox_to_anchor=(-0.02, 1.0),
                ncols=6,
                frameon=False,
                fontsize=9,
                handlelength=1.5,
                handletextpad=0.3,
                columnspacing=0.6,
                borderaxespad=0.2,
            )
        return to_svg(figure, prefix, smallest=0.56)


def _draw_lines(axes: Axes, points: Sequence[Point]) -> None:
    led = [(p.trial, p.best_so_far) for p in points if p.best_so_far is not None]
    if led:
        axes.step(*zip(*led, strict=True), where="post", color=THEME["leader"], lw=2, label="best so far")
    for point in points:
        if point.role == "baseline" and point.state == "completed" and point.value is not None:
            axes.axhline(point.value, color=THEME["baseline"], lw=1.5, ls=(0, (5, 3)), label="baseline")
            break


def _draw_trials(axes: Axes, points: Sequence[Point]) -> None:
    def draw(chosen: Iterable[Point], label: str, **style: Any) -> None:
        placed = [(p.trial, p.value) for p in chosen if p.value is not None]
        if placed:
            axes.plot(*zip(*placed, strict=True), ls="none", label=label, **style)

    completed, stopped, failed, interrupted = (
        [p for p in points if p.state == state] for state in ("completed", "stopped", "failed", "interrupted")
    )
    hollow = {"mfc": THEME["paper"], "mew": 1.6}
    draw(completed, "completed", marker="o", ms=7, color=THEME["trial"])
    draw(stopped, "stopped early", marker="o", ms=7, mec=THEME["trial"], **hollow)
    triangle = {"marker": "^", "ms": 8, "mec": THEME["ink"], **hollow}
    draw(interrupted, "interrupted", **triangle)
    lost = [p for p in interrupted if p.value is None]
    _draw_on_axis(axes, lost, "_" * (len(lost) < len(interrupted)) + "interrupted", **triangle)
    _draw_on_axis(axes, failed, "failed", marker="X", ms=8, color=THEME["muted"], mec=THEME["paper"])


def _draw_on_axis(axes: Axes, points: Sequence[Point], label: str, **style: Any) -> None:
    """Mark trials that have no value, only a number; a label with a leading underscore is not shown."""
    if points:
        axes.plot(
            [p.trial for p in points],
            [0.0] * len(points),
            ls="none",
            clip_on=False,
            transform=axes.get_xaxis_transform(),  # height in axes units
            label=label,
            **style,
        )


def importance(table: Importance, prefix: str) -> str:
    """Draw the share of each parameter as a bar with its number."""
    names = [name for name, _ in table.shares]
    shares = [share for _, share in table.shares]
    height = 0.5 + 0.36 * len(names)
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height))
        axes = figure.add_axes((0.27, 0.06, 0.66, 0.9))
        axes.barh(names, shares, height=0.62, color=THEME["trial"])
        for row, share in enumerate(shares):
            axes.text(share + 0.01, row, number(share), va="center", fontsize=10)
        axes.set_xlim(0, max([*shares, 0.1]) * 1.1)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.tick_params(left=False, bottom=False, labelbottom=False, labelcolor=THEME["ink"])
        axes.spines["bottom"].set_visible(False)
        return to_svg(figure, prefix, smallest=0.56)


def to_svg(figure: Figure, prefix: str, smallest: float) -> str:
    """Write the figure as an `<svg>` element that can stand in an HTML page beside others.

    It shrinks with the page down to the share `smallest` of its size, below which text is too small to read.
    """
    buffer = io.StringIO()
    empty = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", metadata=empty)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    # A style sheet or metadata block inside one figure would apply to, or leak into, the whole page.
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.S)
    text = re.sub(r' xmlns(:xlink)?="[^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{prefix}-", text)
    width, height = (96 * inches for inches in figure.get_size_inches())
    style = f"min-width: {smallest * width:.0f}px"
    size = f'<svg width="{width:.0f}" height="{height:.0f}" style="{style}" viewBox'
    text = re.sub(r"<svg[^>]*? viewBox", size, text, count=1)
    for name, colour in THEME.items():
        text = text.replace(colour, f"var(--{name}, {colour})")
    return text.strip()
