"""How much of the objective's variation each searched parameter explains, and how far to trust that."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.importance import (
    BaseImportanceEvaluator,
    FanovaImportanceEvaluator,
    PedAnovaImportanceEvaluator,
    get_param_importances,
)

from reports.records import Trial

FEWEST_TRIALS = 4
# PED-ANOVA looks at the best tenth and wants about five trials there.
PED_ANOVA_TRIALS = 50


@dataclass(frozen=True)
class Importance:
    """Shares of one, the largest first.

    Attributes:
        evaluator: The method, or None if none was applied.
        trials: Completed searched trials it rests on.
        shares: Parameter and share, in falling order.
        unassessed: Searched parameters that not every trial had.
        note: Why there are no shares, or how little they prove.
    """

    evaluator: str | None
    trials: int
    shares: tuple[tuple[str, float], ...] = ()
    unassessed: tuple[str, ...] = ()
    note: str = ""


def assess(trials: Sequence[Trial], space: Mapping[str, Any], objective: str) -> Importance:
    """Estimate parameter importance from the searched trials that completed with a value.

    The baseline is left out: it lies outside the searched ranges. Stopped and interrupted trials are, too:
    their value belongs to an earlier epoch.

    Args:
        trials: All trials of the run.
        space: The searched and fixed parameters as recorded.
        objective: Name of the metric.
    """
    usable = [t for t in trials if t.role == "searched" and t.state == "completed" and t.config]
    values = {t.number: value for t in usable if (value := t.final(objective)) is not None}
    usable = [t for t in usable if t.number in values]
    if len(usable) < FEWEST_TRIALS:
        need = f"at least {FEWEST_TRIALS} are needed"
        return Importance(None, len(usable), note=f"Too few trials: {len(usable)} usable, {need}.")
    if len(set(values.values())) == 1:
        return Importance(None, len(usable), note="All trials have the same value: nothing to explain.")
    distributions = _distributions(usable, space)
    if not distributions:
        return Importance(None, len(usable), note="No parameter was searched.")
    study = _study(usable, values, distributions)
    name, evaluator = choose_evaluator(len(usable))
    shares = _shares(study, evaluator)
    return Importance(
        evaluator=name,
        trials=len(usable),
        shares=tuple(sorted(shares.items(), key=lambda item: (-item[1], item[0]))),
        unassessed=tuple(sorted(set(distributions) - set(shares))),
        note=_caution(len(usable)),
    )


def choose_evaluator(trials: int) -> tuple[str, BaseImportanceEvaluator]:
    """Choose a method, named with its source, for so many completed searched trials."""
    if trials >= PED_ANOVA_TRIALS:
        return "PED-ANOVA (Watanabe et al. 2023)", PedAnovaImportanceEvaluator()
    return "fANOVA (Hutter et al. 2014)", FanovaImportanceEvaluator(seed=0)


def _caution(trials: int) -> str:
    if trials < PED_ANOVA_TRIALS:
        return (
            f"Estimated from {trials} trials, one training run each: unreliable. "
            "Treat it as a hint at what to search next."
        )
    return f"Estimated from {trials} trials, one training run each. It describes this search, not a cause."


def _shares(study: optuna.Study, evaluator: BaseImportanceEvaluator) -> dict[str, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shares = get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in shares.items()}


def _study(
    trials: Sequence[Trial], values: Mapping[int, float], distributions: Mapping[str, BaseDistribution]
) -> optuna.Study:
    """Rebuild a study in memory: records are the source of truth, and study.db may be locked or missing."""
    with quiet():
        study = optuna.create_study(direction="maximize")
    for trial in trials:
        params = {
            name: _plain(trial.config[name]) for name in distributions if trial.config.get(name) is not None
        }
        study.add_trial(
            optuna.trial.create_trial(
                params=params,
                distributions={name: distributions[name] for name in params},
                value=values[trial.number],
            )
        )
    return study


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna from telling what it does, for a while."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)


def _distributions(trials: Sequence[Trial], space: Mapping[str, Any]) -> dict[str, BaseDistribution]:
    found: dict[str, BaseDistribution] = {}
    for name in sorted({name for trial in trials for name in trial.config}):
        seen = [trial.config[name] for trial in trials if trial.config.get(name) is not None]
        entry = space.get(name, {})
        if seen and (isinstance(entry, (dict, list)) or len(set(map(repr, seen))) > 1):
            found[name] = _distribution(seen, entry if isinstance(entry, dict) else {})
    return {name: distribution for name, distribution in found.items() if not distribution.single()}


def _distribution(seen: Sequence[Any], entry: Mapping[str, Any]) -> BaseDistribution:
    """Take the recorded range, widened where a value lies outside (a resumed run may have changed it)."""
    if any(isinstance(value, bool) or not isinstance(value, (int, float)) for value in seen):
        return CategoricalDistribution(tuple(dict.fromkeys(map(_plain, [*entry.get("choices", ()), *seen]))))
    ends = [end for end in (entry.get("low"), entry.get("high")) if isinstance(end, (int, float))]
    low, high = min([*ends, *seen]), max([*ends, *seen])
    log = bool(entry.get("log")) and low > 0
    if all(isinstance(value, int) for value in [*ends, *seen]):
        return IntDistribution(int(low), int(high), log=log)
    return FloatDistribution(float(low), float(high), log=log)


def _plain(value: Any) -> str | int | float | bool:
    return value if isinstance(value, (str, int, float, bool)) else repr(value)
