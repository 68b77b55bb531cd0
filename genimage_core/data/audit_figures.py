"""Figures of an audit as SVG text: no script, no outside reference, readable at a phone's width."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from genimage_core.data.audit_checks import Check

# Drawn in these colours; on the page they become CSS variables, which dark mode changes.
THEME = {
    "ink": "#1c2128",
    "muted": "#5a6472",
    "grid": "#dcdfe4",
    "nature": "#0072b2",
    "ai": "#d55e00",
}
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "audit",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": THEME["ink"],
    "axes.edgecolor": THEME["muted"],
    "axes.labelcolor": THEME["ink"],
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "xtick.color": THEME["muted"],
    "ytick.color": THEME["ink"],
    "grid.color": THEME["grid"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,
}
WIDTH = 4.4  # inches: 422 pixels, and still legible at the 330 of a narrow phone
LEFT = 1.75
BINS = 40


@dataclass(frozen=True)
class Quantity:
    """A column that is shown as a histogram.

    Attributes:
        name: Its short name.
        label: Title of the axis, with the unit.
        logarithmic: Whether the axis is.
    """

    name: str
    label: str
    logarithmic: bool


QUANTITIES = (
    Quantity("quality", "JPEG quality", False),
    Quantity("bytes", "bytes (log)", True),
    Quantity("size", "√(width · height) in pixels (log)", True),
)


def histograms(quantity: Quantity, values: Sequence[tuple[str, Sequence[NDArray[np.float64]]]]) -> str:
    """Draw one row per generator: real files above the line, fakes below it, on one common axis.

    Args:
        quantity: What is shown.
        values: Per generator its name and the values of nature and of ai; at least one value in all.
    """
    bins = _bins(np.concatenate([v for _, classes in values for v in classes]), quantity)
    height = 0.62 * len(values) + 0.95
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height))
        axes = _axes(figure, height, [name for name, _ in values], top=0.35)
        for row, (_, classes) in enumerate(values):
            for found, sign, colour in zip(classes, (-1, 1), ("nature", "ai"), strict=True):
                _half(axes, found, bins, row, sign, THEME[colour])
            axes.axhline(row, color=THEME["muted"], lw=0.6)
        axes.set(xlim=(bins[0], bins[-1]), ylim=(len(values) - 0.45, -0.55), xlabel=quantity.label)
        if quantity.logarithmic:
            axes.set_xscale("log")
            _plain_ticks(axes, bins)
        _legend(figure, height, (("nature, above", "nature"), ("ai, below", "ai")))
        return _svg(figure, f"histogram-{quantity.name}")


def _half(
    axes: Axes, values: NDArray[np.float64], bins: NDArray[np.float64], row: int, sign: int, colour: str
) -> None:
    counts = np.histogram(values, bins)[0]
    if counts.any():
        heights = 0.42 * counts / counts.max()
        axes.stairs(row + sign * heights, bins, baseline=row, fill=True, color=colour, lw=0)


def _bins(values: NDArray[np.float64], quantity: Quantity) -> NDArray[np.float64]:
    low, high = values.min(), values.max()
    if quantity.logarithmic:
        return np.geomspace(max(low, 1) / 1.05, max(high, 1) * 1.05, BINS + 1)
    return np.arange(np.floor(low) - 0.5, np.floor(high) + 1.5)


def _plain_ticks(axes: Axes, bins: NDArray[np.float64]) -> None:
    ticks = [t for power in range(0, 13) for t in (10.0**power, 3 * 10.0**power) if bins[0] <= t <= bins[-1]]
    if len(ticks) < 2:
        ticks = [bins[0] * 1.05, bins[-1] / 1.05]
    if len(ticks) > 6:
        ticks = [t for t in ticks if f"{t:.0f}"[0] == "1"]
    axes.set_xticks(ticks, minor=False)
    axes.set_xticks([], minor=True)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))


def short(value: float) -> str:
    """Write a number in at most three digits and a unit: 950, 30 k, 1.5 M."""
    for unit, word in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= unit:
            return f"{value / unit:.3g}{word}"
    return f"{value:.3g}"


def bars(groups: Sequence[tuple[str, Sequence[Check]]], prefix: str) -> str:
    """Draw accuracies from chance outwards, with their intervals; what tells is vermillion and starred.

    Args:
        groups: Per generator its name and its checks.
        prefix: Unique on the page; every id inside the figure starts with it.
    """
    labelled = [
        (f"{_clip(name, 16)}: {c.features}" if not i else c.features, c)
        for name, cs in groups
        for i, c in enumerate(cs)
    ]
    gaps = np.repeat(np.arange(len(groups)), [len(cs) for _, cs in groups]) * 0.5
    where = np.arange(len(labelled)) + gaps
    height = 0.21 * (where[-1] + 1) + 0.95
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height))
        axes = _axes(figure, height, [], top=0.35)
        axes.set_yticks(where, [label for label, _ in labelled], fontsize=9)
        axes.axvline(50, color=THEME["ink"], lw=1.2)
        for y, (_, check) in zip(where, labelled, strict=True):
            _bar(axes, y, check)
        axes.set(
            ylim=(where[-1] + 0.6, -0.6), xlim=(35, 113), xlabel="balanced accuracy in percent; chance is 50"
        )
        axes.set_xticks([40, 50, 60, 70, 80, 90, 100])
        _legend(figure, height, (("above chance *", "ai"), ("not above chance", "nature")))
        return _svg(figure, prefix)


def _bar(axes: Axes, y: float, check: Check) -> None:
    colour = THEME["ai" if check.above_chance else "nature"]
    axes.barh(y, 100 * check.accuracy - 50, left=50, height=0.66, color=colour)
    axes.plot([100 * check.low, 100 * check.high], [y, y], color=THEME["ink"], lw=1.1)
    star = " *" if check.above_chance else ""
    end = max(100 * check.high, 50)
    axes.text(end + 1, y, f"{100 * check.accuracy:.1f}{star}", va="center", fontsize=8)


def _axes(figure: Figure, height: float, names: Sequence[str], top: float) -> Axes:
    bottom = 0.5
    axes = figure.add_axes((LEFT / WIDTH, bottom / height, 0.97 - LEFT / WIDTH, 1 - (bottom + top) / height))
    axes.grid(axis="x", lw=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_yticks(range(len(names)), [_clip(name, 20) for name in names])
    return axes


def _clip(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _legend(figure: Figure, height: float, entries: Sequence[tuple[str, str]]) -> None:
    for number, (words, colour) in enumerate(entries):
        x = (LEFT + 1.55 * number) / WIDTH
        figure.text(x, 1 - 0.2 / height, "■", color=THEME[colour], va="center")
        figure.text(x + 0.17 / WIDTH, 1 - 0.2 / height, words, va="center", fontsize=9)


def _svg(figure: Figure, prefix: str) -> str:
    """Write the figure as `<svg>`; its ids start with `prefix` and its colours are variables."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.S)
    text = re.sub(r' xmlns(:xlink)?="[^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{prefix}-", text)
    width = 96 * figure.get_size_inches()[0]
    text = re.sub(r"<svg[^>]*? viewBox", f'<svg width="{width:.0f}" viewBox', text, count=1)
    for name, colour in THEME.items():
        text = text.replace(colour, f"var(--{name}, {colour})")
    return text.strip()


def sizes(rows: pd.DataFrame) -> "pd.Series[float]":
    """Return the side of a square with as many pixels as each file has."""
    product: pd.Series[float] = rows["width"].astype("Float64") * rows["height"].astype("Float64")
    return product**0.5
