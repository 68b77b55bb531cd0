"""Figures of accuracies with their intervals: against a quantity, and of several test sets side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from genimage_core.analysis.files import OWN_STYLE
from genimage_core.analysis.seeds import SeedMean
from genimage_core.data.audit_figures import THEME
from genimage_core.intervals import Estimate

COLOURS = (THEME["nature"], THEME["ai"])  # Okabe and Ito's blue and vermillion
MARKERS = ("o", "s")
APART = 0.012  # of the axis: two intervals at one place lie side by side
CHANCE = 0.5
PANEL = 1.75  # inches
LETTERS = 11.5  # of a title, per inch


@dataclass(frozen=True)
class Series:
    """One line of a figure.

    Attributes:
        name: In the legend.
        values: One for every place on the axis.
    """

    name: str
    values: Sequence[SeedMean]


def curve_figure(
    title: str, label: str, places: Sequence[int], series: Sequence[Series], change: Series | None = None
) -> Figure:
    """Draw accuracies against a quantity on a logarithmic axis: means, intervals, and a dot for every seed.

    Args:
        title: Stands above.
        label: Of the axis below.
        places: Where on that axis, above 0.
        series: One or two lines.
        change: Drawn below on an axis of its own, about zero.
    """
    rows = 1 if change is None else 2
    with rc_context(OWN_STYLE):
        figure = Figure(figsize=(6.4, 4.0 if rows == 1 else 5.4), layout="constrained")
        ratios = [2.4, 1][:rows]
        cells = figure.subplots(rows, 1, sharex=True, squeeze=False, height_ratios=ratios).ravel()
        cells[0].axhline(CHANCE, color=THEME["muted"], lw=1, ls=(0, (4, 2)), label="chance")
        for number, one in enumerate(series):
            _draw_line(cells[0], places, one, number, len(series))
        cells[0].set_ylabel("balanced accuracy")
        cells[0].legend(frameon=False, fontsize=9)
        if change is not None:
            cells[1].axhline(0, color=THEME["muted"], lw=1, ls=(0, (4, 2)))
            _draw_line(cells[1], places, change, 0, 1, colour=THEME["ink"])
            cells[1].set_ylabel(change.name)
        _log_axis(cells[-1], places, label)
        figure.suptitle(fill(title, round(LETTERS * 6.4)), fontsize=11)
    return figure


def _draw_line(
    cell: Axes, places: Sequence[int], series: Series, number: int, count: int, colour: str = ""
) -> None:
    colour = colour or COLOURS[number]
    span = max(places) / min(places) if len(places) > 1 else 2.0
    shift = span ** (APART * (number - (count - 1) / 2))
    shown = [place * shift for place in places]
    found = [value.estimate for value in series.values]
    values = [one.value for one in found]
    style: Any = {
        "color": colour,
        "marker": MARKERS[number],
        "ms": 5,
        "lw": 1.5,
        "capsize": 3,
        "elinewidth": 1.2,
    }
    cell.errorbar(shown, values, yerr=_distances(found), label=series.name, **style)
    for place, value in zip(shown, series.values, strict=True):
        if len(value.by_seed) > 1:
            cell.scatter(
                [place] * len(value.by_seed), value.by_seed, s=14, color=colour, alpha=0.6, lw=0, zorder=1
            )
    cell.grid(lw=0.6)


def _distances(found: Sequence[Estimate]) -> tuple[list[float], list[float]]:
    return [one.value - one.low for one in found], [one.high - one.value for one in found]


def _log_axis(cell: Axes, places: Sequence[int], label: str) -> None:
    cell.set_xscale("log")
    cell.xaxis.set_minor_locator(NullLocator())
    cell.set_xticks(places, [f"{place:,}".replace(",", " ") for place in places])
    cell.xaxis.set_minor_formatter(NullFormatter())
    cell.set_xlim(min(places) / 1.3, max(places) * 1.3)
    cell.set_xlabel(label)


def panels_figure(title: str, rows: Mapping[str, Mapping[str, Estimate]], chance: Sequence[str]) -> Figure:
    """Draw several numbers of several test sets, a panel for each number; the first set is the reference.

    Args:
        title: Stands above.
        rows: Test set -> name of the number -> its value with interval.
        chance: Numbers of which a guess gives one half.
    """
    names = list(next(iter(rows.values())))
    width, height = 1.4 + 0.075 * max(map(len, rows)) + PANEL * len(names), 1.5 + 0.42 * len(rows)
    with rc_context(OWN_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        cells = figure.subplots(1, len(names), sharey=True, squeeze=False).ravel()
        for cell, name in zip(cells, names, strict=True):
            _draw_panel(cell, [row[name] for row in rows.values()])
            cell.set_title(name, fontsize=10)
            if name in chance:
                cell.axvline(CHANCE, color=THEME["muted"], lw=1, ls=(0, (4, 2)), zorder=0)
        cells[0].set_yticks(range(len(rows)), list(rows))
        cells[0].set_ylim(len(rows) - 0.5, -0.5)
        figure.suptitle(fill(title, round(LETTERS * width)), fontsize=11)
    return figure


def _draw_panel(cell: Axes, found: Sequence[Estimate]) -> None:
    cell.axvline(found[0].value, color=COLOURS[0], lw=0.8, alpha=0.5, zorder=0)
    for place, one in enumerate(found):
        left, right = _distances([one])
        number = min(place, 1)
        cell.errorbar(
            one.value,
            place,
            xerr=(left, right),
            color=COLOURS[number],
            marker=MARKERS[number],
            ms=5,
            capsize=3,
        )
    cell.set_xlim(-0.03, 1.03)
    cell.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    cell.grid(axis="x", lw=0.6)
