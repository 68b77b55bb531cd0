"""Optuna's study on disk: opened, and brought back into agreement with the records after an interruption."""

import math
import warnings
from copy import deepcopy
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from genimage_core.settings import derive_seed
from search.records import Records, State, TrialRecord
from search.sections import SearchSection

STATES: dict[State, TrialState] = {
    "running": TrialState.RUNNING,
    "completed": TrialState.COMPLETE,
    "stopped": TrialState.PRUNED,
    "interrupted": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


def open_study(path: Path, name: str) -> optuna.Study:
    """Open the study of a run, or begin one."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    return optuna.create_study(study_name=name, storage=storage, direction="maximize", load_if_exists=True)


def restore_study(path: Path, name: str, records: Records) -> None:
    """Write the study anew, with the trials that the records know, in the states that they have there.

    Optuna does not open a trial again that has ended, nor forget epochs; a trial that was suggested but never
    begun is dropped, and will be suggested again.

    Raises:
        ValueError: If a trial of the records is missing in the study.
    """
    known = {trial.number: trial for trial in open_study(path, name).get_trials(deepcopy=False)}
    missing = [record.number for record in records.in_order() if record.number not in known]
    if missing:
        raise ValueError(f"{path} lacks trial {missing[0]}, which the journal has; was it exchanged?")
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    study = open_study(partial, name)
    study.add_trials([_agreeing(known[record.number], record, records) for record in records.in_order()])
    study._storage.remove_session()
    partial.replace(path)


def _agreeing(trial: FrozenTrial, record: TrialRecord, records: Records) -> FrozenTrial:
    trial = deepcopy(trial)
    trial.state = STATES[record.state]
    # The study hears of a last epoch only when Ray Tune has saved it, the journal at once.
    told = {epoch["epoch"]: float(epoch[records.objective]) for epoch in record.epochs}
    known = trial.intermediate_values
    trial.intermediate_values = {s: known.get(s, v) for s, v in told.items() if math.isfinite(v)}
    if record.state == "running":
        trial.datetime_complete = None
    else:
        trial.datetime_complete = trial.datetime_complete or trial.datetime_start
    has_value = trial.state in (TrialState.COMPLETE, TrialState.PRUNED) and record.epochs
    trial.values = [record.value(records.objective)] if has_value else None
    return trial


def settle_study(study: optuna.Study, epochs: int) -> None:
    """Settle every trial that a search which was cut off has left RUNNING, by its last epoch if any."""
    for trial in study.get_trials(states=[TrialState.RUNNING]):
        known = trial.intermediate_values
        if epochs in known:
            study.tell(trial.number, known[epochs])
        else:
            study.tell(trial.number, state=TrialState.PRUNED if known else TrialState.FAIL)


def build_sampler(section: SearchSection, number: int) -> optuna.samplers.BaseSampler:
    """Build the sampler that suggests one trial.

    Each has a seed of its own, so that a search that is resumed goes on with the suggestions that it would
    have made. TPE groups parameters (`group=True`), so that conditional ones, and the baseline that has none,
    do not hide the joint structure of the others; a third of the trials, three to ten, is drawn at random
    first.

    Args:
        section: Of the space file.
        number: Of the trial.
    """
    seed = derive_seed(section.seed, number) % 2**32  # NumPy takes no larger one
    if section.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    startup = min(10, max(3, section.trials // 3))
    with warnings.catch_warnings():
        # Optuna calls `group` experimental; the dependency is bound to the versions it was tried with.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True, n_startup_trials=startup)
