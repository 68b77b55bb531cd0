"""PURE: tables of several runs side by side, the same for HTML and Markdown."""

from collections.abc import Sequence

from genimage_core.intervals import Estimate
from reports.comparability import Comparability
from reports.comparison_summary import Accuracy, GeneratorRow, Summary
from reports.views import Table
from reports.wording import (
    NOTHING,
    capitalised,
    interval,
    metric_title,
    number,
    setting,
    signed_interval,
    unfinished,
)

PARTS = {
    "sealed": "Sealed generators, trained anew",
    "test": "Unseen images, trained anew",
    "validation": "Validation images, one seed",
}


def facts_table(runs: Sequence[Summary]) -> Table:
    """What a reader asks first, a column for each run."""
    metrics = {metric_title(run.objective) for run in runs}
    metric = capitalised(metrics.pop()) if len(metrics) == 1 else "Objective"
    shown: dict[str, list[str]] = {
        "Directory": [run.folder for run in runs],
        "Name": [run.name for run in runs],
        "Images": ["simulated" if run.simulated else "not simulated" for run in runs],
        "Status": [run.status for run in runs],
        "Trials": [_trials(run) for run in runs],
        "Winner": [NOTHING if run.trial is None else f"trial {run.trial}" for run in runs],
        f"{metric} in the search, winner": [number(run.winner) for run in runs],
        f"{metric} in the search, baseline": [number(run.baseline) for run in runs],
        "Sealed generators, winner": [_interval(run.sealed) for run in runs],
        "Sealed generators, winner less baseline": [_signed(run.sealed_difference) for run in runs],
        "Unseen images, winner": [_interval(run.unseen) for run in runs],
        "Unseen images, winner less baseline": [_signed(run.unseen_difference) for run in runs],
        "Device hours, search": [_hours(run.search_device_hours) for run in runs],
        "Device hours, finalists": [_hours(run.finalists_device_hours) for run in runs],
        "Commit of the code": [setting(run.commit) for run in runs],
    }
    columns = ("", *(run.label for run in runs))
    return Table(columns, tuple((title, *texts) for title, texts in shown.items()))


def _trials(run: Summary) -> str:
    planned = "" if run.planned is None else f" of {run.planned} planned"
    return f"{run.completed}{planned} completed, {unfinished(run.stopped, run.failed, run.interrupted)}"


def _interval(found: Estimate | None) -> str:
    return interval(found) if found else NOTHING


def _signed(found: Estimate | None) -> str:
    return signed_interval(found) if found else NOTHING


def _hours(hours: float | None) -> str:
    if hours is None:
        return NOTHING
    return f"{hours:,.2f}" if hours >= 0.1 or hours == 0 else f"{hours:.1g}"


def configuration_table(runs: Sequence[Summary]) -> Table:
    """Every parameter of the winners."""
    names = dict.fromkeys(name for run in runs for name in run.config)
    rows = tuple((name, *(setting(run.config.get(name)) for run in runs)) for name in names)
    return Table(("Parameter", *(run.label for run in runs)), rows, frozenset(range(1, len(runs) + 1)))


def differences_table(found: Comparability, labels: Sequence[str]) -> Table:
    """What differs, or is not known to agree, before any setting of a space file."""
    rows = [(capitalised(a.name), *a.values) for a in found.aspects if a.state != "same"]
    return Table(("", *labels), tuple(rows))


def settings_table(found: Comparability, labels: Sequence[str]) -> Table:
    """Settings of the space files that differ."""
    return Table(("Setting", *labels), tuple((one.key, *one.values) for one in found.settings))


def generators_table(rows: Sequence[GeneratorRow], labels: Sequence[str]) -> Table:
    """Accuracies by generator: of each run the winner, then the baseline."""
    columns = [f"{label} {role}" for label in labels for role in ("winner", "baseline")]
    return Table(
        ("On", "Generator", *columns),
        tuple((PARTS[row.part], row.generator, *_pairs(row)) for row in rows),
        frozenset(range(2, 2 + len(columns))),
    )


def _pairs(row: GeneratorRow) -> list[str]:
    pairs = zip(row.winners, row.baselines, strict=True)
    return [_shown(accuracy) for pair in pairs for accuracy in pair]


def _shown(found: Accuracy | None) -> str:
    if found is None:
        return NOTHING
    if found.low is None or found.high is None:
        return number(found.value)
    return interval(Estimate(found.value, found.low, found.high))


def row_in_words(row: GeneratorRow, labels: Sequence[str]) -> str:
    """Accuracies of the winners on one generator, for those who do not see the figure."""
    known = [f"{label} {_shown(w)}" for label, w in zip(labels, row.winners, strict=True) if w]
    return f"{row.generator} ({PARTS[row.part].lower()}): {', '.join(known) or 'no winner'}"
