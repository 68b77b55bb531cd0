"""Pictures of where in the searched space values are high."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from markupsafe import Markup

from reports import space_figures, views
from reports.pictures import Picture
from reports.tables import Report, Row
from reports.views import Table
from reports.wording import capitalised, count, metric_title, number, setting

MOST_AXES = 7  # of parallel coordinates: more cannot be read on a page


def _searched(report: Report) -> list[Row]:
    """Completed searched trials, the best first."""
    done = [row for row in report.trials if row.role == "searched" and row.state == "completed"]
    return sorted((row for row in done if row.objective is not None), key=lambda row: -(row.objective or 0.0))


def _parameters(report: Report) -> list[str]:
    """Searched parameters, the most important first."""
    ranked = [name for name, _ in report.importance.shares]
    searched = dict.fromkeys(name for row in _searched(report) for name in row.config)
    return [
        *(name for name in ranked if name in searched),
        *(name for name in searched if name not in ranked),
    ]


def _logarithmic(report: Report) -> frozenset[str]:
    """Parameters that are searched on a logarithmic scale."""
    entries = (report.environment.get("space") or {}).items()
    return frozenset(name for name, entry in entries if isinstance(entry, Mapping) and entry.get("log"))


def draw_slices(report: Report) -> Picture | None:
    """Every completed trial's value against each parameter; None of fewer than two trials."""
    rows, names = _searched(report), _parameters(report)
    if len(rows) < 2 or not names:
        return None
    metric = capitalised(metric_title(report.objective))
    return Picture(
        title="Value against each parameter",
        svg=Markup(space_figures.slices(rows, names, _logarithmic(report), report.objective, "slices")),
        alt=f"{metric} of {count(len(rows), 'completed trial')} against each of {', '.join(names)}.",
        caption="One point a completed trial; parameters move together, so a slope is no cause by itself.",
        table=views.leaderboard(replace(report, ranking=tuple(rows))),
    )


def draw_interaction(report: Report) -> Picture | None:
    """Completed trials in the plane of the two parameters that mattered most.

    None where there are no two that have been assessed, or fewer than three trials that have both.
    """
    names = [name for name, _ in report.importance.shares[:2]]
    rows = [row for row in _searched(report) if all(row.config.get(name) is not None for name in names)]
    if len(names) < 2 or len(rows) < 3:
        return None
    one, other = names
    metric = capitalised(metric_title(report.objective))
    return Picture(
        title=f"The two that mattered most: {one} and {other}",
        svg=Markup(
            space_figures.interaction(
                rows, (one, other), _logarithmic(report), report.objective, "interaction"
            )
        ),
        alt=f"{count(len(rows), 'completed trial')} by {one} and {other}, coloured by {metric.lower()}; the "
        f"best is trial {rows[0].trial} at {setting(rows[0].config[one])} and "
        f"{setting(rows[0].config[other])}.",
        caption=f"Bright: high {metric.lower()}; ringed: the best. Where colour changes along one axis "
        "differently at different places on the other, the two act together.",
        table=_pairs(rows, one, other, metric),
    )


def _pairs(rows: Sequence[Row], one: str, other: str, metric: str) -> Table:
    lines = tuple(
        (str(row.trial), setting(row.config[one]), setting(row.config[other]), number(row.objective))
        for row in rows
    )
    return Table(("Trial", one, other, metric), lines, frozenset({1, 2, 3}))


def draw_parallel(report: Report) -> Picture | None:
    """Completed trials as lines across their parameters; None of fewer than two trials."""
    rows, names = _searched(report), _parameters(report)[:MOST_AXES]
    if len(rows) < 2 or not names:
        return None
    return Picture(
        title="Configurations as lines",
        svg=Markup(
            space_figures.parallel_coordinates(
                rows, names, _logarithmic(report), report.objective, "parallel"
            )
        ),
        alt=f"Parallel coordinates of {count(len(rows), 'completed trial')} over {', '.join(names)}; the "
        f"best is trial {rows[0].trial}.",
        caption="Each line is a completed trial, stronger where its value is higher, the best one thick and "
        "green. Ends of the axes: least and greatest value tried.",
        table=views.leaderboard(replace(report, ranking=tuple(rows))),
    )
