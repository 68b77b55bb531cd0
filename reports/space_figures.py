"""Where in the searched space values are high, as SVG; see `figures` for how a page restyles it."""

import math
from collections.abc import Sequence, Set
from typing import Any, Literal

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reports.figures import STYLE, THEME, WIDTH, shorten, to_svg
from reports.tables import Row
from reports.wording import capitalised, metric_title, setting

COLUMNS = 3  # of slices
PANEL = 1.9  # inches


def slices(
    rows: Sequence[Row], names: Sequence[str], logarithmic: Set[str], objective: str, prefix: str
) -> str:
    """Draw every completed trial's value against each parameter, one panel each.

    Args:
        rows: Completed searched trials, each with a value.
        names: Parameters.
        logarithmic: Those that are searched on a logarithmic scale.
        objective: What the value is.
        prefix: Unique on the page; every id inside the figure starts with it.
    """
    lines = -(-len(names) // COLUMNS)
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, PANEL * lines))
        grid = figure.subplots(lines, COLUMNS, squeeze=False, sharey=True)
        figure.subplots_adjust(0.105, 0.52 / (PANEL * lines), 0.99, 0.98, 0.08, 0.55)
        for axes, name in zip(grid.flat, names, strict=False):
            _draw_slice(axes, [(row.config.get(name), row.objective or 0.0) for row in rows])
            axes.set_xlabel(shorten(name, 24), fontsize=9)
            if name in logarithmic:
                axes.set_xscale("log")
        for axes in list(grid.flat)[len(names) :]:
            axes.set_visible(False)
        figure.supylabel(capitalised(metric_title(objective)), fontsize=9, x=0.005)
        return to_svg(figure, prefix, smallest=0.56)


def _draw_slice(axes: Axes, points: Sequence[tuple[Any, float]]) -> None:
    there = [(place, value) for place, value in points if place is not None]
    numeric = _are_numbers([place for place, _ in there])
    names = [] if numeric else sorted({setting(place) for place, _ in there})
    places = [place if numeric else names.index(setting(place)) for place, _ in there]
    axes.grid(lw=0.8)
    axes.set_axisbelow(True)
    axes.plot(places, [value for _, value in there], ls="none", marker="o", ms=5, color=THEME["trial"])
    axes.tick_params(labelsize=8)
    if numeric:
        axes.xaxis.set_major_locator(MaxNLocator(4))
    else:
        axes.set_xticks(range(len(names)), names, rotation=20)


def interaction(
    rows: Sequence[Row], names: tuple[str, str], logarithmic: Set[str], objective: str, prefix: str
) -> str:
    """Draw completed trials in the plane of two parameters, coloured by their value.

    Args:
        rows: Completed searched trials, each with a value, the best first.
        names: The parameters: across and upwards.
        logarithmic: Those that are searched on a logarithmic scale.
        objective: What the value is.
        prefix: Unique on the page; every id inside the figure starts with it.
    """
    values = [row.objective or 0.0 for row in rows]
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.6))
        axes = figure.add_axes((0.2, 0.15, 0.62, 0.81))
        axes.grid(lw=0.8)
        axes.set_axisbelow(True)
        across = _place(axes, "x", rows, names[0])
        upwards = _place(axes, "y", rows, names[1])
        axes.set(**{f"{axis}scale": "log" for axis, n in zip("xy", names, strict=True) if n in logarithmic})
        points = axes.scatter(
            across, upwards, c=values, cmap="cividis", s=70, ec=THEME["ink"], lw=0.8, zorder=3
        )
        axes.scatter(across[:1], upwards[:1], s=230, fc="none", ec=THEME["ink"], lw=1.6, zorder=2)
        bar = figure.colorbar(points, cax=figure.add_axes((0.85, 0.15, 0.025, 0.81)))
        bar.set_label(capitalised(metric_title(objective)), fontsize=9)
        bar.ax.tick_params(labelsize=8)
        if bar.solids is not None:
            bar.solids.set_rasterized(False)  # the page has no bitmaps but photographs
            bar.solids.set_edgecolor("face")  # no stripes between the steps
        return to_svg(figure, prefix, smallest=0.56)


def _place(axes: Axes, which: Literal["x", "y"], rows: Sequence[Row], name: str) -> list[float]:
    """Label an axis with a parameter; where on it each trial lies."""
    known, label = _settings_of(rows, name), axes.set_xlabel if which == "x" else axes.set_ylabel
    label(name, fontsize=9)
    axes.tick_params(axis=which, labelsize=8)
    if _are_numbers(known):
        return [row.config[name] for row in rows]
    ticks = axes.set_xticks if which == "x" else axes.set_yticks
    ticks(range(len(known)), [setting(value) for value in known])
    axes.margins(x=0.15) if which == "x" else axes.margins(y=0.15)
    return [known.index(row.config[name]) for row in rows]


def _are_numbers(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def parallel_coordinates(
    rows: Sequence[Row], names: Sequence[str], logarithmic: Set[str], objective: str, prefix: str
) -> str:
    """Draw every completed trial as a line across its parameters, stronger with its value; the best on top.

    Args:
        rows: Completed searched trials, each with a value, the best first.
        names: Parameters, the most important first.
        logarithmic: Those that are searched on a logarithmic scale.
        objective: What the value is.
        prefix: Unique on the page; every id inside the figure starts with it.
    """
    values = np.array([row.objective for row in rows], dtype=float)
    spread = np.ptp(values) or 1.0
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.2))
        axes = figure.add_axes((0.06, 0.16, 0.88, 0.72))
        for place in range(len(rows) - 1, -1, -1):
            heights = [
                _height(rows, row_name, rows[place].config.get(row_name), row_name in logarithmic)
                for row_name in names
            ]
            share = float((values[place] - values.min()) / spread)
            style = {"color": THEME["leader"], "lw": 3.0} if place == 0 else _line_style(share)
            axes.plot(range(len(names) + 1), [*heights, share], **style)
        for place, name in enumerate(names):
            low, high = _ends(rows, name)
            axes.text(place, 1.03, high, ha="center", va="bottom", fontsize=8, color=THEME["muted"])
            axes.text(place, -0.03, low, ha="center", va="top", fontsize=8, color=THEME["muted"])
        last = len(names)
        axes.text(
            last, 1.03, f"{values.max():.3f}", ha="center", va="bottom", fontsize=8, color=THEME["muted"]
        )
        axes.text(last, -0.03, f"{values.min():.3f}", ha="center", va="top", fontsize=8, color=THEME["muted"])
        axes.set(xlim=(-0.2, last + 0.2), ylim=(-0.02, 1.02), yticks=[])
        axes.set_xticks(range(last + 1), [*names, metric_title(objective)], fontsize=8)
        axes.tick_params(axis="x", pad=16, length=0)
        axes.vlines(range(last + 1), 0, 1, color=THEME["grid"], lw=1)
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)
        return to_svg(figure, prefix, smallest=0.72)


def _line_style(share: float) -> dict[str, Any]:
    """Of a value between the least and the greatest: one colour that pages restyle, stronger or weaker."""
    return {"color": THEME["trial"], "lw": 1.3, "alpha": 0.3 + 0.7 * share}


def _settings_of(rows: Sequence[Row], name: str) -> list[Any]:
    found = [row.config[name] for row in rows if row.config.get(name) is not None]
    try:
        return sorted(set(found))
    except TypeError:  # numbers and words together
        return sorted(set(found), key=str)


def _height(rows: Sequence[Row], name: str, value: Any, logarithmic: bool) -> float:
    """Place of a value between the least and the greatest, by rank of words; NaN where there is none."""
    known = _settings_of(rows, name)
    if value is None or not known:
        return float("nan")
    if _are_numbers(known):
        low, at, high = (math.log(v) if logarithmic else v for v in (known[0], value, known[-1]))
        return 0.5 if low == high else (at - low) / (high - low)
    return 0.5 if len(known) == 1 else known.index(value) / (len(known) - 1)


def _ends(rows: Sequence[Row], name: str) -> tuple[str, str]:
    known = _settings_of(rows, name)
    return (setting(known[0]), setting(known[-1])) if known else ("", "")
