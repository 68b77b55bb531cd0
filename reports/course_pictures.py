"""Picture of how the trials of a search went."""

from collections.abc import Sequence

from markupsafe import Markup

from reports import course_figures
from reports.course import Curve
from reports.pictures import Picture
from reports.tables import Report
from reports.views import Table
from reports.wording import capitalised, count, metric_title, number

MOST_LINES = 100  # more cannot be told apart, and make the page heavy


def _shown(curves: Sequence[Curve]) -> list[Curve]:
    searched = [curve for curve in curves if curve.role == "searched" and curve.points]
    best = sorted(searched, key=lambda curve: -curve.points[-1][1])[:MOST_LINES]
    return [*(curve for curve in curves if curve.role == "baseline"), *best]


def rung_table(report: Report) -> Table:
    """Who reached which epoch, and how good they were there."""
    rows = tuple(
        (
            str(rung.epoch),
            str(rung.reached),
            str(rung.stopped),
            str(rung.lost),
            number(rung.best),
            number(rung.median),
        )
        for rung in report.rungs
    )
    columns = ("Epoch", "Trials", "Stopped here", "Ended otherwise", "Best", "Median")
    return Table(columns, rows, frozenset(range(6)))


def draw_course(report: Report) -> Picture | None:
    """Learning curves of all trials; None before the first epoch."""
    if not report.rungs:
        return None
    stopped = sum(rung.stopped for rung in report.rungs)
    shown = _shown(report.curves)
    left_out = f" Only the {MOST_LINES} that were best at their end and the baseline are drawn."
    metric = capitalised(metric_title(report.objective))
    return Picture(
        title="Epoch by epoch",
        svg=Markup(course_figures.learning_curves(shown, report.objective, "course")),
        alt=f"{metric} of {count(len(report.curves), 'trial')} after every epoch; early stopping ended "
        f"{stopped} of them before the last.",
        caption="One line a trial. The table has how many reached each epoch, how many early stopping ended "
        "there, and the best and the median value of all that came so far."
        f"{left_out if len(shown) < len(report.curves) else ''}",
        table=rung_table(report),
    )
