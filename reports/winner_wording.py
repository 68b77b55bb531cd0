"""The winner of a search in words."""

from collections.abc import Sequence

from reports.tables import Report
from reports.wording import metric_title, number, setting


def describe_winner(report: Report) -> str:
    """Say which configuration it is and what it sets; empty while no searched trial has completed."""
    best, baseline = report.challenger, report.baseline
    if best is None:
        return ""
    against = ""
    if baseline is not None and best.difference is not None:
        against = f" against {number(baseline.objective)} of the baseline"
    chosen = [f"{name} {setting(value)}" for name, value in best.config.items() if value is not None]
    return (
        f"Trial {best.trial} is the best searched configuration, with {metric_title(report.objective)} "
        f"{number(best.objective)}{against} on the validation images of the search. It sets "
        f"{', '.join(chosen) or 'nothing'}; all else is as in the space file."
    )


def describe_divided(divided: Sequence[tuple[int, int]]) -> str:
    """Say which trials did not fit into the memory of a device as they were; empty if all did."""
    sizes: dict[int, list[int]] = {}
    for trial, size in divided:
        sizes.setdefault(size, []).append(trial)
    said = [
        f"{_listed(trials)} went through the device {size} images at a time" for size, trials in sizes.items()
    ]
    if not said:
        return ""
    return (
        f"Because whole batches did not fit into its memory, {'; '.join(said)}. The gradients are the same."
    )


def _listed(trials: Sequence[int]) -> str:
    *others, last = map(str, trials)
    return f"trials {', '.join(others)} and {last}" if others else f"trial {last}"
