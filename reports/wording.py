"""PURE: numbers and names as a reader sees them, and the sentences that judge a run."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from genimage_core.generators import GENIMAGE, Catalog
from genimage_core.intervals import Estimate

NOTHING = "–"
METRICS = {
    "off_family_accuracy": "off-family accuracy",
    "left_out_accuracy": "left-out accuracy",
    "worst_left_out": "worst left-out accuracy",
    "in_domain_accuracy": "in-domain accuracy",
    "forgetting": "accuracy lost on the base's generator",
    "average_precision": "average precision",
    "auroc": "AUROC",
}
SIMULATED = (
    "Simulated data: every image comes from the embedded set “mini” and its simulated generators. "
    "This run proves the machinery and shows how methods rank on it; it says nothing about the quality of a "
    "detector on real generators."
)
SIMULATED_BASE = (
    "Simulated base weights: every trial starts from weights that were trained on simulated data, though the "
    "images of this run are not simulated. How far that shifts the numbers here is not known."
)


@dataclass(frozen=True)
class Standing:
    """What a verdict may rest on.

    Attributes:
        objective: Name of the metric.
        planned: Trials that the search was asked for, if recorded.
        completed: Trials that ran to the last epoch.
        stopped: Trials that the scheduler ended early.
        failed: Trials that raised an error.
        interrupted: Trials that the user or the time budget ended early.
        compared: Completed trials with a final value, the baseline included.
        best: Number of the trial with the highest value among them.
        best_value: Its value.
        challenger: Number of the best searched trial among them.
        challenger_value: Its value.
        baseline: Value of the baseline.
        baseline_interrupted: The baseline is among the interrupted trials.
        finished: False while the run goes on, or if it was cut off.
        simulated: The images are those of the embedded set.
        base_simulated: The weights that every trial starts from were trained on simulated images.
        alignment: How the images were aligned, if recorded.
        base_alignment: How those were that the base was trained on, if any.
        tested_anew: The best configurations were trained anew and tested on images that no trial had seen.
    """

    objective: str
    planned: int | None
    completed: int
    stopped: int
    failed: int
    interrupted: int
    compared: int
    best: int | None
    best_value: float | None
    challenger: int | None
    challenger_value: float | None
    baseline: float | None
    baseline_interrupted: bool
    finished: bool
    simulated: bool
    base_simulated: bool
    alignment: str | None
    base_alignment: str | None
    tested_anew: bool = False


def verdict(standing: Standing) -> str:
    """Say in plain words what the numbers show, and no more than that."""
    sentences = _judgement(standing)
    if standing.best is not None and standing.simulated:
        sentences += " The images are simulated."
    return sentences if standing.finished else f"Interim, as the run has not ended. {sentences}"


def _judgement(s: Standing) -> str:
    metric = metric_title(s.objective)
    if _finished_trials(s) == 0:
        return _nothing_finished(s)
    if s.best is None:
        return _no_best(s, metric)
    if s.challenger_value is None:
        return (
            f"Only the baseline has a final value: {metric} {number(s.baseline)} on validation images, "
            f"one seed ({tally(s)}). There is no searched trial to compare it with."
        )
    if s.baseline is None:
        return (
            f"{_opening(s)}: trial {s.challenger} reaches {metric} {number(s.challenger_value)}. "
            f"{_no_baseline(s)}, so nothing can be said about an improvement. "
            f"This is {_noise(s)} and therefore optimistic."
        )
    return _comparison(s, metric, s.challenger_value, s.baseline)


def _nothing_finished(s: Standing) -> str:
    if not s.interrupted:
        return "No trial has finished yet, so there is nothing to compare."
    return (
        f"No trial has finished ({s.interrupted} interrupted), so there is nothing to compare."
        f"{_baseline_fate(s)}"
    )


def _no_best(s: Standing, metric: str) -> str:
    lacking, states = (
        (f"No completed trial has a value of {metric}", tally(s))
        if s.completed
        else ("No trial has completed", unfinished(s.stopped, s.failed, s.interrupted))
    )
    return f"{lacking} ({states}), so there is no best configuration.{_baseline_fate(s)}"


def _no_baseline(s: Standing) -> str:
    return f"The baseline {'was interrupted and ' if s.baseline_interrupted else ''}has no final value"


def _baseline_fate(s: Standing) -> str:
    return " The baseline was interrupted." if s.baseline_interrupted else ""


def _comparison(s: Standing, metric: str, challenger: float, baseline: float) -> str:
    against = (
        f"{metric} {number(challenger)} against {number(baseline)} for the baseline "
        f"(difference {signed(challenger - baseline)})"
    )
    if challenger > baseline:
        return (
            f"{_opening(s)}: trial {s.challenger} reaches {against}. "
            f"This is {_noise(s)} and therefore optimistic; it is not yet evidence of an improvement."
        )
    outcome = "equals it at" if challenger == baseline else "stays below it with"
    return (
        f"The baseline is the best of {count(_all(s), 'trial')} on validation images, one seed{_states(s)}: "
        f"the best searched trial, number {s.challenger}, {outcome} {against}. "
        "One seed does not show that no configuration can help."
    )


def notice(standing: Standing) -> str:
    """Say what the reader must know before any number: that images or base weights are simulated."""
    if standing.simulated:
        return SIMULATED
    return SIMULATED_BASE if standing.base_simulated else ""


def limits(
    standing: Standing, generators: tuple[str, ...], sealed: tuple[str, ...], catalog: Catalog = GENIMAGE
) -> tuple[str, ...]:
    """List what the numbers of a search cannot show.

    Args:
        standing: The outcome.
        generators: Generators that the objective averages over.
        sealed: Generators that the search did not open.
        catalog: What they are called.
    """
    tested = ", ".join(generator_title(name, catalog) for name in generators)
    closed = ", ".join(generator_title(name, catalog) for name in sealed)
    lines = [
        "Trials were chosen and scored on the same validation images. The highest of several noisy scores is "
        "too high on average (Cawley and Talbot, JMLR 2010)."
        + (" The verdict on fresh trainings does not rest on these scores." if standing.tested_anew else ""),
        ""
        if standing.tested_anew
        else "Every configuration was trained once. How far two seeds of the same configuration lie apart is "
        "not known from this run, so small differences mean nothing.",
        f"The objective looks at {count(len(generators), 'generator')} ({tested}): too few to speak "
        "of unseen generators in general."
        if generators
        else "",
        f"Sealed generators ({closed}) were not opened: no number here involves them."
        if sealed and not standing.tested_anew
        else "",
        "Trials stopped early were judged after fewer epochs; a configuration that learns slowly may be "
        "among them."
        if standing.stopped
        else "",
        _cut_off(standing),
        _misaligned(standing),
        notice(standing),
    ]
    return tuple(line for line in lines if line)


def _cut_off(s: Standing) -> str:
    if not s.interrupted or s.planned is None or _finished_trials(s) >= s.planned:
        return ""
    finished = f"{_finished_trials(s)} of {s.planned} finished"
    return (
        f"The search was ended before all planned trials ran ({finished}); "
        "what the others would have reached is not known."
    )


def _misaligned(s: Standing) -> str:
    if s.base_alignment is None or s.base_alignment == s.alignment:
        return ""
    return (
        f"The base was trained on images aligned differently ({s.base_alignment}, here "
        f"{s.alignment or 'not recorded'}), so it may carry a file-format shortcut into every trial."
    )


def _opening(s: Standing) -> str:
    return f"Best of {count(_all(s), 'trial')} on validation images, one seed{_states(s)}"


def _states(s: Standing) -> str:
    return f" ({tally(s)})" if s.stopped or s.failed or s.interrupted else ""


def _noise(s: Standing) -> str:
    return "a single noisy score" if s.compared == 1 else f"the highest of {s.compared} noisy scores"


def _finished_trials(s: Standing) -> int:
    return s.completed + s.stopped + s.failed


def _all(s: Standing) -> int:
    return _finished_trials(s) + s.interrupted


def tally(standing: Standing) -> str:
    """Count completed, stopped, failed and interrupted trials in words."""
    rest = unfinished(standing.stopped, standing.failed, standing.interrupted)
    return f"{standing.completed} completed, {rest}"


def unfinished(stopped: int, failed: int, interrupted: int) -> str:
    """Count the trials that did not complete in words; interrupted ones only where there are any."""
    words = f"{stopped} stopped early, {failed} failed"
    return f"{words}, {interrupted} interrupted" if interrupted else words


def number(value: float | None) -> str:
    """Three decimals, as accuracies are quoted."""
    return NOTHING if value is None else f"{value:.3f}"


def signed(value: float | None) -> str:
    """A difference with its sign; one too small for three decimals keeps its first digit, up to the sixth.

    What is smaller still is rounding, not a difference.
    """
    if value is None:
        return NOTHING
    if abs(value) < 5e-7:
        return "+0.000"
    small = abs(value) < 0.0005
    digits = min(6, -math.floor(math.log10(abs(value)))) if small else 3
    return f"{value:+.{digits}f}".replace("-", "−")


def interval(found: Estimate) -> str:
    """A number with its interval."""
    return f"{number(found.value)} ({number(found.low)} to {number(found.high)})"


def signed_interval(found: Estimate) -> str:
    """A difference with its interval."""
    return f"{signed(found.value)} ({signed(found.low)} to {signed(found.high)})"


def duration(seconds: float | None) -> str:
    """Seconds in the unit that a person would choose."""
    if seconds is None:
        return NOTHING
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, left = divmod(minutes, 60)
    return f"{hours} h {left:02d} min" if hours else f"{minutes} min {rest:02d} s"


def setting(value: Any) -> str:
    """A configuration value, short enough for a table."""
    if value is None:
        return NOTHING
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {setting(entry)}" for key, entry in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(setting, value)) or "none"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def span(entry: Any) -> str:
    """What a parameter may be: a range, a choice or one fixed value."""
    if not isinstance(entry, Mapping):
        return setting(entry)
    parts = []
    if {"low", "high"} <= entry.keys():
        parts.append(f"{setting(entry['low'])} to {setting(entry['high'])}")
    if "choices" in entry:
        parts.append(f"one of {setting(entry['choices'])}")
    rest = {key: value for key, value in entry.items() if key not in ("low", "high", "choices")}
    if rest.get("type") == "int":
        parts.append("whole numbers")
        del rest["type"]
    return "; ".join([*parts, *([setting(rest)] if rest else [])])


def count(amount: int, noun: str) -> str:
    """An amount with its noun in the right number."""
    return f"{amount} {noun}" if amount == 1 else f"{amount} {noun}s"


def metric_title(name: str) -> str:
    """The words for a metric; an unknown name is spelt out."""
    return METRICS.get(name, name.replace("_", " "))


def capitalised(text: str) -> str:
    """Raise the first letter and leave the rest (AUROC) alone."""
    return text[:1].upper() + text[1:]


def generator_title(name: str, catalog: Catalog = GENIMAGE) -> str:
    """The paper's spelling of a generator; an unknown name stays as it is."""
    return catalog.get(name).title if name in catalog.names else name


def fold_title(name: str, train: tuple[str, ...], catalog: Catalog = GENIMAGE) -> str:
    """What the detector of a fold was trained on, in words."""
    if len(train) == 1:
        return generator_title(train[0], catalog)
    left = name.removeprefix("all_but_")
    if left == name:
        return name
    family = left in catalog.families and left not in catalog.names
    return f"all but {left.replace('_', ' ') if family else generator_title(left, catalog)}"
