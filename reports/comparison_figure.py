"""Winners of several runs by generator as SVG; see `figures` for how a page restyles it."""

from collections.abc import Sequence

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reports.comparison_summary import Accuracy, GeneratorRow
from reports.comparison_views import PARTS
from reports.figures import CHANCE, STYLE, THEME, WIDTH, to_svg

# Colours that colour-blind readers tell apart, and a marker each for those who see none.
LOOKS = (
    (THEME["trial"], "o"),
    (THEME["baseline"], "s"),
    (THEME["leader"], "D"),
    (THEME["fourth"], "^"),
    (THEME["ink"], "v"),
    (THEME["muted"], "P"),
)
LANE, GAP = 0.17, 0.2  # inches: of a run, and between generators


def winners(rows: Sequence[GeneratorRow], labels: Sequence[str], prefix: str) -> str:
    """Draw the accuracy of each run's winner on each generator, with its interval where there is one.

    Args:
        rows: Sorted by part.
        labels: Of the runs, at most as many as there are `LOOKS`.
        prefix: Unique on the page; every id inside the figure starts with it.
    """
    places, headings, height = _lay_out(rows, len(labels))
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height + 1.0))
        axes = figure.add_axes((0.2, 0.55 / (height + 1), 0.77, height / (height + 1)))
        axes.set(xlim=_span(rows), ylim=(height, 0))
        axes.grid(axis="x", lw=0.8)
        axes.set_axisbelow(True)
        axes.axvline(CHANCE, color=THEME["muted"], lw=1, ls=(0, (5, 3)))
        for row, top in zip(rows, places, strict=True):
            _draw_row(axes, row, top)
        for part, top in headings:
            _draw_heading(axes, PARTS[part], top)
        middles = [top + LANE * (len(labels) - 1) / 2 for top in places]
        axes.set_yticks(middles, [row.generator for row in rows])
        axes.tick_params(axis="y", left=False, labelcolor=THEME["ink"])
        axes.set_xlabel("accuracy, balanced over real and fake")
        axes.legend(handles=_legend(labels), loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=len(labels),
                    frameon=False, fontsize=10, handletextpad=0.2, columnspacing=1.2)  # fmt: skip
        return to_svg(figure, prefix, smallest=0.56)


def _draw_heading(axes: Axes, title: str, top: float) -> None:
    axes.text(0.01, top, title, fontsize=9.5, color=THEME["muted"], va="center",
              transform=axes.get_yaxis_transform(),  # inches downwards, axes units across
              bbox={"facecolor": THEME["paper"], "edgecolor": "none", "pad": 2})  # fmt: skip


def _lay_out(rows: Sequence[GeneratorRow], runs: int) -> tuple[list[float], list[tuple[str, float]], float]:
    """Inches from the top: of each row's first lane, of each part's heading, and of the end."""
    top, places, headings = 0.0, [], []
    for place, row in enumerate(rows):
        if place == 0 or rows[place - 1].part != row.part:
            headings.append((row.part, top + 0.15))
            top += 0.3
        places.append(top + GAP / 2 + LANE / 2)
        top += GAP + LANE * runs
    return places, headings, max(top, 0.5)


def _span(rows: Sequence[GeneratorRow]) -> tuple[float, float]:
    """From below chance to 1, further down only for what lies there."""
    lows = [found.value if found.low is None else found.low for row in rows for found in row.winners if found]
    return max(0.0, min([CHANCE, *lows]) - 0.03), 1.01


def _draw_row(axes: Axes, row: GeneratorRow, top: float) -> None:
    for place, (found, (colour, marker)) in enumerate(zip(row.winners, LOOKS, strict=False)):
        if found is not None:
            _draw_accuracy(axes, found, top + LANE * place, colour, marker)


def _draw_accuracy(axes: Axes, found: Accuracy, height: float, colour: str, marker: str) -> None:
    if found.low is not None and found.high is not None:
        axes.plot([found.low, found.high], [height, height], color=colour, lw=2)
    inside = THEME["paper"] if found.low is None else colour
    axes.plot([found.value], [height], ls="none", marker=marker, ms=6.5, mec=colour, mfc=inside, mew=1.5)


def _legend(labels: Sequence[str]) -> list[Line2D]:
    return [
        Line2D([], [], ls="none", marker=marker, ms=7, color=colour, label=label)
        for label, (colour, marker) in zip(labels, LOOKS, strict=False)
    ]
