"""How trials went, as SVG; see `figures` for how a page restyles it."""

from collections.abc import Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reports.course import Curve
from reports.figures import STYLE, THEME, WIDTH, to_svg
from reports.wording import capitalised, metric_title


def learning_curves(curves: Sequence[Curve], objective: str, prefix: str) -> str:
    """Draw every trial's objective epoch by epoch; a hollow end is where one was stopped early.

    Args:
        curves: Of all trials with an epoch.
        objective: What is drawn.
        prefix: Unique on the page; every id inside the figure starts with it.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.2))
        axes = figure.add_axes((0.13, 0.16, 0.855, 0.72))
        axes.grid(axis="y", lw=0.8)
        axes.set_axisbelow(True)
        for curve in sorted(curves, key=lambda curve: curve.role == "baseline"):  # the baseline on top
            _draw_curve(axes, curve)
        axes.set_xlabel("epoch")
        axes.set_ylabel(capitalised(metric_title(objective)))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if {len(curve.points) for curve in curves} == {1}:
            axes.set_xticks([1])  # of a point alone no axis can be made
        handles, labels = axes.get_legend_handles_labels()
        unique = dict(zip(labels, handles, strict=True))
        axes.legend(
            unique.values(),
            unique.keys(),
            loc="lower left",
            bbox_to_anchor=(-0.02, 1.0),
            ncols=3,
            frameon=False,
            fontsize=9,
            borderaxespad=0.2,
        )
        return to_svg(figure, prefix, smallest=0.56)


def _draw_curve(axes: Axes, curve: Curve) -> None:
    if not curve.points:
        return
    style: dict[str, Any] = {"color": THEME["trial"], "lw": 1.2, "alpha": 0.75, "label": "searched trial"}
    if curve.role == "baseline":
        style = {"color": THEME["baseline"], "lw": 2, "ls": (0, (5, 3)), "label": "baseline"}
    axes.plot(*zip(*curve.points, strict=True), marker=".", ms=5, **style)
    if curve.state == "stopped":
        epoch, value = curve.points[-1]
        hollow = {"mfc": THEME["paper"], "mec": style["color"], "mew": 1.6, "label": "stopped early"}
        axes.plot([epoch], [value], ls="none", marker="o", ms=7, **hollow)
