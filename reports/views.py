"""PURE: the tables of a report as text in rows and columns, the same for HTML and Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reports.matrices import Cell, Matrix
from reports.tables import Report, Row
from reports.wording import (
    NOTHING,
    capitalised,
    duration,
    metric_title,
    number,
    setting,
    signed,
    span,
)

KINDS = {
    "trained": "trained on it",
    "known": "base trained on it or on its family",
    "left_out": "left out, family known",
    "off_family": "left out, family unknown",
}
STATES = {
    "completed": "completed",
    "stopped": "stopped early",
    "failed": "failed",
    "interrupted": "interrupted",
}
TIMINGS = {
    "wall_s": ("Wall time", duration),
    "startup_s": ("Start-up", duration),
    "first_result_s": ("First trial result after", duration),
    "train_s": ("Training, all trials", duration),
    "eval_s": ("Evaluation, all trials", duration),
    "held_s": ("Time that devices were held, all workers together", duration),
    "gpu_s": ("GPU time, all GPUs together", lambda seconds: duration(seconds) if seconds else "no GPU"),
    "goodput": ("Goodput: training and evaluation ÷ time the devices were held", number),
    "overhead_per_trial_s": ("Overhead per trial", duration),
}
# Shown elsewhere on the page, or too long for a table of settings.
SHOWN_ELSEWHERE = (
    "command",
    "space",
    "name",
    "simulated",
    "protocol.folds",
    "protocol.generators",
    "shortcuts",
    "data.layout",
    "resumed",
    "warm_start",
)


@dataclass(frozen=True)
class Table:
    """Text in rows and columns.

    Attributes:
        columns: Titles.
        rows: One text per column.
        numeric: Columns that hold numbers, to be aligned right.
        marks: A word per row that the page may style (`best`, `baseline`), or nothing at all.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: frozenset[int] = frozenset()
    marks: tuple[str, ...] = ()


def leaderboard(report: Report) -> Table:
    """Best configurations and the baseline, one column per searched parameter."""
    rows, names = report.ranking, _parameters(report.ranking)
    objective = capitalised(metric_title(report.objective))
    columns = ("Trial", objective, "Δ baseline", "Worst left-out", "In-domain", *_forgotten(report))
    return Table(
        (*columns, *names),
        tuple((_label(row, report), *_scores(row, report), *_settings(row, names)) for row in rows),
        frozenset(range(1, len(columns) + len(names))),
        tuple(_mark(row, report) for row in rows),
    )


def all_trials(report: Report) -> Table:
    """Every trial in the order of its number, however it ended."""
    rows, names = report.trials, _parameters(report.trials)
    columns = ("Trial", "State", "Epochs", capitalised(metric_title(report.objective)), "Δ baseline")
    more = ("Worst left-out", "In-domain", *_forgotten(report), "Time", "Retries")
    return Table(
        (*columns, *more, *names),
        tuple(
            (
                f"{row.trial} ({mark})" if (mark := _mark(row, report)) else str(row.trial),
                STATES[row.state],
                str(row.epochs),
                *_scores(row, report),
                duration(row.seconds),
                str(row.retries),
                *_settings(row, names),
            )
            for row in rows
        ),
        frozenset(range(2, len(columns) + len(more) + len(names))),
        tuple(_mark(row, report) for row in rows),
    )


def _label(row: Row, report: Report) -> str:
    words = [_mark(row, report), "" if row.state == "completed" else STATES[row.state]]
    remark = ", ".join(word for word in words if word)
    return f"{row.trial} ({remark})" if remark else str(row.trial)


def _mark(row: Row, report: Report) -> str:
    best = report.best is not None and row.trial == report.best.trial
    words = [word for word, holds in (("best", best), ("baseline", row.role == "baseline")) if holds]
    return ", ".join(words)


def _scores(row: Row, report: Report) -> tuple[str, ...]:
    difference = NOTHING if row.role == "baseline" else signed(row.difference)
    forgotten = (number(row.forgetting),) if _forgotten(report) else ()
    return number(row.objective), difference, number(row.worst_left_out), number(row.in_domain), *forgotten


def _forgotten(report: Report) -> tuple[str, ...]:
    """Title of the column of what a detector lost on the generator of its base, if there is such a base."""
    known = any(row.forgetting is not None for row in report.trials)
    return ("Forgotten",) if known else ()


def _parameters(rows: Sequence[Row]) -> tuple[str, ...]:
    # The baseline may record its whole policy; the searched parameters come first.
    ordered = sorted(rows, key=lambda row: row.role == "baseline")
    return tuple(dict.fromkeys(name for row in ordered for name in row.config))


def _settings(row: Row, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(setting(row.config.get(name)) for name in names)


def matrix(m: Matrix) -> Table:
    """The matrix as it is drawn: accuracy, then real / fake accuracy; a diamond marks counted cells."""
    rows = []
    for title, cells, mean in zip(m.row_titles, m.cells, m.row_means, strict=True):
        texts = [
            NOTHING
            if cell is None
            else f"{'◆ ' * cell.counts}{number(cell.score.accuracy)} "
            f"({number(cell.score.real_accuracy)} / {number(cell.score.fake_accuracy)})"
            for cell in cells
        ]
        rows.append((title, *texts, number(mean)))
    means = ("mean of ◆", *map(number, m.column_means), number(m.mean))
    return Table(
        ("Trained on", *m.column_titles, "Mean of ◆"),
        (*rows, means),
        frozenset(range(1, len(m.generators) + 2)),
    )


def matrix_cells(m: Matrix) -> Table:
    """Every cell of the matrix as a row, with all its scores."""
    columns = ("Trained on", "Tested on", "Relation", "Accuracy", "Real", "Fake", "AP", "AUROC", "Images")
    rows = tuple(
        (
            trained_on,
            tested_on,
            KINDS[cell.kind],
            number(cell.score.accuracy),
            number(cell.score.real_accuracy),
            number(cell.score.fake_accuracy),
            number(cell.score.average_precision),
            number(cell.score.auroc),
            setting(cell.score.images),
        )
        for trained_on, cells in zip(m.row_titles, m.cells, strict=True)
        for tested_on, cell in zip(m.column_titles, cells, strict=True)
        if cell is not None
    )
    return Table(columns, rows, frozenset(range(3, 9)))


def matrix_differences(m: Matrix) -> Table:
    """Every cell of a matrix of differences as a row."""
    rows = tuple(
        (trained_on, tested_on, KINDS[cell.kind], *(signed(value) for value in _accuracies(cell)))
        for trained_on, cells in zip(m.row_titles, m.cells, strict=True)
        for tested_on, cell in zip(m.column_titles, cells, strict=True)
        if cell is not None
    )
    columns = ("Trained on", "Tested on", "Relation", "Δ accuracy", "Δ real", "Δ fake")
    return Table(columns, rows, frozenset(range(3, 6)))


def _accuracies(cell: Cell) -> tuple[float | None, ...]:
    return cell.score.accuracy, cell.score.real_accuracy, cell.score.fake_accuracy


def importance(report: Report) -> Table:
    """Parameters by importance, those that could not be assessed at the end."""
    shares = [(name, number(share)) for name, share in report.importance.shares]
    missing = [(name, "not assessed: not in every trial") for name in report.importance.unassessed]
    return Table(("Parameter", "Share"), (*shares, *missing), frozenset({1}))


def failures(report: Report) -> Table:
    """Failed trials with the line that says why."""
    failed = [row for row in report.trials if row.state == "failed"]
    rows = tuple((str(row.trial), str(row.epochs), row.error or "no error recorded") for row in failed)
    return Table(("Trial", "Epochs", "Error"), rows, frozenset({1}))


def outcome(report: Report) -> Table:
    """How many trials ended in which way, and where."""
    o = report.outcome
    rows = [
        ("Planned", setting(o.planned)),
        ("Completed", str(o.completed)),
        ("Stopped early", str(o.stopped)),
        ("Failed", str(o.failed)),
        ("Interrupted", str(o.interrupted)),
        ("Retries", str(o.retries)),
        ("Epochs trained, all trials", str(o.epochs_run)),
        *((_ended(epoch), str(trials)) for epoch, trials in o.ended),
    ]
    return Table(("Trials", "Number"), tuple(rows), frozenset({1}))


def timing(report: Report) -> Table:
    """Where the time went, in the search and in training its finalists anew, as far as either is written."""
    parts = {"Search": report.timing, "Finalists": report.finalists_timing}
    written = {title: timing for title, timing in parts.items() if timing}
    rows = tuple(
        (title, *(show(timing.get(key)) for timing in written.values()))
        for key, (title, show) in (TIMINGS.items() if written else ())
    )
    return Table(("Time", *written), rows, frozenset(range(1, 1 + len(written))))


def _ended(epoch: int) -> str:
    return f"Ended after epoch {epoch}" if epoch else "Ended before an epoch was done"


def space(report: Report) -> Table:
    """What was searched and what was fixed."""
    entries: Mapping[str, Any] = report.environment.get("space") or {}
    rows = tuple((name, span(entry)) for name, entry in entries.items())
    return Table(("Parameter", "Range or value"), rows)


def data(report: Report) -> Table:
    """Which images the run read, how, and what could not be read."""
    return Table(("Setting", "Value"), tuple(_flat(report.environment.get("data") or {}, "")))


def environment(report: Report) -> Table:
    """Versions, commit, hardware, data and seeds, flattened to one setting a line."""
    return Table(("Setting", "Value"), tuple(_flat(report.environment, "")))


def _flat(settings: Mapping[str, Any], prefix: str) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if name in SHOWN_ELSEWHERE:
            continue
        if isinstance(value, Mapping) and value:
            rows += _flat(value, f"{name}.")
        else:
            rows.append((name, setting(value)))
    return rows
