"""Optuna's own interactive figures of a study, in one file that asks the network for nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import optuna
from markupsafe import Markup
from optuna.importance import get_param_importances
from optuna.trial import FrozenTrial, TrialState

from reports.importance import FEWEST_TRIALS, choose_evaluator
from reports.records import read_run
from reports.render import INTERACTIVE, TEMPLATES
from reports.study_file import read_study
from reports.tables import Report, build
from reports.wording import capitalised, count, metric_title

MISSING = (
    "interactive figures need plotly, which is not installed; the extra `interactive` brings it: "
    "uv run --extra interactive python -m reports RUN_DIR --interactive"
)
LAYOUT = {"title": None, "height": 440, "margin": {"t": 30, "r": 20, "b": 60, "l": 70}}
CONFIG = {"displaylogo": False, "responsive": True, "showSendToCloud": False}

Figure: TypeAlias = Any  # of plotly, which not everyone has


@dataclass(frozen=True)
class Chart:
    """An interactive figure.

    Attributes:
        title: What it shows.
        words: How to read it; or, without a figure, why there is none.
        content: HTML with its data; empty without a figure.
    """

    title: str
    words: str
    content: Markup


@dataclass(frozen=True)
class Ranking:
    """Completed searched trials of a study and their parameters.

    Attributes:
        trials: With a value and parameters; the baseline has none.
        names: Parameters, those that could be assessed first, the most important one at their head.
        assessed: How many of them could.
    """

    trials: tuple[FrozenTrial, ...]
    names: tuple[str, ...]
    assessed: int


def check_plotly() -> None:
    """Look whether figures can be drawn.

    Raises:
        ValueError: If plotly is not installed; the message says how to install it.
    """
    try:
        import plotly.offline  # noqa: F401  # an extra: most do without
    except ImportError as error:
        raise ValueError(MISSING) from error


def write_interactive(run_dir: Path) -> Path:
    """Write `report/interactive.html` of a run from its `study.db`, which is only read.

    Works at any time, also while the run goes on.

    Args:
        run_dir: The directory that the search wrote.

    Returns:
        The path of the page.

    Raises:
        ValueError: If plotly is not installed, a record cannot be understood, or `study.db` is no study.
    """
    check_plotly()
    report, study = build(read_run(run_dir)), read_study(run_dir / "study.db")
    path = run_dir / "report" / INTERACTIVE
    path.parent.mkdir(exist_ok=True)
    path.write_text(page(report, study), encoding="utf-8", newline="\n")
    return path


def page(report: Report, study: optuna.Study) -> str:
    """Write the page about a study, with the library that draws it."""
    from plotly.offline import get_plotlyjs

    return TEMPLATES.get_template("interactive.html.j2").render(
        report=report,
        charts=draw(study, capitalised(metric_title(report.objective))),
        trials=count(len(study.get_trials(deepcopy=False)), "trial"),
        style=Markup(TEMPLATES.get_template("style.css").render()),
        library=Markup(get_plotlyjs()),
    )


def draw(study: optuna.Study, metric: str) -> tuple[Chart, ...]:
    """Draw what there is to be drawn of a study.

    Args:
        study: Its names are safe in HTML, see `read_study`.
        metric: What its values are, in words.
    """
    ranking = rank_parameters(study)
    return (*_over_time(study, metric), *_over_parameters(study, metric, ranking))


def rank_parameters(study: optuna.Study) -> Ranking:
    """Order the parameters of a study by importance, as far as that can be assessed."""
    completed = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    trials = tuple(trial for trial in completed if trial.params)
    names = dict.fromkeys(name for trial in trials for name in trial.params)
    common = [name for name in names if all(name in trial.params for trial in trials)]
    if len(trials) < FEWEST_TRIALS or len({trial.value for trial in trials}) == 1 or not common:
        return Ranking(trials, tuple(names), 0)
    _, evaluator = choose_evaluator(len(trials))
    shares = get_param_importances(study, evaluator=evaluator, params=common)
    ranked = sorted(common, key=lambda name: -shares[name])
    return Ranking(trials, (*ranked, *(name for name in names if name not in ranked)), len(ranked))


def _over_time(study: optuna.Study, metric: str) -> tuple[Chart, ...]:
    from optuna import visualization as plots

    trials = study.get_trials(deepcopy=False)
    completed = any(trial.state == TrialState.COMPLETE for trial in trials)
    return (
        _chart(
            "Optimisation history",
            "Completed trials, and the best so far.",
            lambda: plots.plot_optimization_history(study, target_name=metric),
            "" if completed else "No trial has completed.",
        ),
        _chart(
            "Timeline",
            "When each trial ran, and how it ended; stopped early is called pruned.",
            lambda: plots.plot_timeline(study),
            "" if trials else "No trial has begun.",
        ),
    )


def _over_parameters(study: optuna.Study, metric: str, ranking: Ranking) -> tuple[Chart, ...]:
    from optuna import visualization as plots

    names, done = ranking.names, count(len(ranking.trials), "completed searched trial")
    few = "" if len(ranking.trials) > 1 else f"There are {done}, at least two are needed."
    unassessed = "" if ranking.assessed else f"It cannot be told from {done}."
    _, evaluator = choose_evaluator(len(ranking.trials))
    return (
        _chart(
            "Parameter importance",
            f"From {done}, one training each: a hint at what to search next, no proof.",
            lambda: plots.plot_param_importances(study, evaluator, list(names[: ranking.assessed])),
            unassessed,
        ),
        _chart(
            "Value against each parameter",
            "Parameters move together, so a slope is no cause by itself.",
            lambda: plots.plot_slice(study, list(names), target_name=metric),
            few,
        ),
        _chart(
            "Configurations as lines",
            "Each line is a completed trial; the baseline, which has no parameters, is at None.",
            lambda: plots.plot_parallel_coordinate(study, list(names), target_name=metric),
            few,
        ),
        _chart(
            "The two most important parameters",
            "Between the points, values are interpolated.",
            lambda: plots.plot_contour(study, list(names[:2]), target_name=metric),
            few or unassessed or ("" if len(names) > 1 else "Only one parameter was searched."),
        ),
    )


def _chart(title: str, words: str, make: Callable[[], Figure], lacking: str) -> Chart:
    """Draw a figure unless something is lacking for it."""
    if lacking:
        return Chart(title, lacking, Markup())
    figure = make().update_layout(LAYOUT)
    name = title.lower().replace(" ", "-")  # a fixed id: the same study gives the same bytes
    content = figure.to_html(full_html=False, include_plotlyjs=False, div_id=name, config=CONFIG)
    return Chart(title, words, Markup(content))
