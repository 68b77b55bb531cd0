"""What the finalists show as SVG; see `figures` for how a page restyles it."""

from collections.abc import Sequence

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from genimage_core.generators import Catalog
from genimage_core.intervals import Estimate
from reports.claims import Calibration, Claim
from reports.figures import STYLE, THEME, WIDTH, shorten, to_svg
from reports.wording import capitalised, generator_title, metric_title

ROW = 0.36  # inches


def forest(claims: Sequence[Claim], titles: Sequence[str], catalog: Catalog, prefix: str) -> str:
    """Draw paired differences to the baseline with their intervals: of each part together and by generator.

    Args:
        claims: One for each part of the images.
        titles: What the parts are called.
        catalog: What generators are called.
        prefix: Unique on the page; every id inside the figure starts with it.
    """
    rows: list[tuple[str, Estimate, bool]] = []
    for claim, title in zip(claims, titles, strict=True):
        rows.append((title, claim.overall.difference, True))
        rows += [
            (generator_title(of.generator, catalog), of.comparison.difference, False)
            for of in claim.generators
        ]
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 0.75 + ROW * len(rows)))
        below = 0.55 / figure.get_size_inches()[1]
        axes = figure.add_axes((0.43, below, 0.54, 1 - below - 0.02))
        axes.axvline(0, color=THEME["muted"], lw=1)
        axes.grid(axis="x", lw=0.8)
        axes.set_axisbelow(True)
        for place, (_, difference, together) in enumerate(rows):
            _draw_interval(axes, place, difference, together)
        axes.set_yticks(range(len(rows)), [shorten(title, 28) for title, _, _ in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.tick_params(axis="y", left=False, labelcolor=THEME["ink"])
        axes.set_xlabel("accuracy, winner less baseline")
        return to_svg(figure, prefix, smallest=0.56)


def _draw_interval(axes: Axes, place: int, found: Estimate, together: bool) -> None:
    colour, marker, size = (THEME["leader"], "D", 8) if together else (THEME["trial"], "o", 6)
    axes.plot([found.low, found.high], [place, place], color=colour, lw=3 if together else 2)
    axes.plot([found.value], [place], marker=marker, ms=size, color=colour, ls="none")


def expected_best(values: Sequence[float], objective: str, prefix: str) -> str:
    """Draw what the best of n completed trials is expected to reach."""
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 2.8))
        axes = figure.add_axes((0.13, 0.18, 0.855, 0.78))
        axes.grid(axis="y", lw=0.8)
        axes.set_axisbelow(True)
        axes.plot(range(1, len(values) + 1), values, color=THEME["leader"], lw=2, marker="o", ms=5)
        axes.set_xlabel("completed trials")
        axes.set_ylabel(capitalised(metric_title(objective)))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        return to_svg(figure, prefix, smallest=0.56)


def reliability(claim: Claim, prefix: str) -> str:
    """Draw how often images were fake against the probability that detectors gave them."""
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.4))
        axes = figure.add_axes((0.105, 0.15, 0.86, 0.8))
        axes.plot([0, 1], [0, 1], color=THEME["muted"], lw=1, ls=(0, (5, 3)), label="calibrated")
        _draw_bins(axes, claim.candidate_calibration, "winner", THEME["leader"], "D")
        _draw_bins(axes, claim.baseline_calibration, "baseline", THEME["baseline"], "o")
        axes.set(xlim=(0, 1), ylim=(0, 1))
        axes.set_xlabel("mean probability of being fake")
        axes.set_ylabel("share that is fake")
        axes.legend(loc="upper left", frameon=False, fontsize=9)
        return to_svg(figure, prefix, smallest=0.56)


def _draw_bins(axes: Axes, found: Calibration, name: str, colour: str, marker: str) -> None:
    points = [(of.predicted, of.observed) for of in found.bins if of.count]
    axes.plot(*zip(*points, strict=True), color=colour, marker=marker, ms=5, lw=1.5, label=name)
