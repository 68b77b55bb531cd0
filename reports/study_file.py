"""Reads the Optuna study of a run, which a search may be writing at this moment."""

import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from copy import deepcopy
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.exceptions import OptunaError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial

from reports.importance import quiet

PATIENCE_S = 20.0
CUT_OFF = "a search was cut off while it wrote to it; search/run.py --resume RUN_DIR puts it right"
ROLES = ("baseline", "searched")


def read_study(path: Path) -> optuna.Study:
    """Read a study into memory; the file is opened for reading alone.

    Names and choices of parameters are escaped: what draws them takes text for HTML. Attributes other than
    the role of a trial are left out.

    Args:
        path: SQLite file with one study of one objective.

    Raises:
        ValueError: If the file is missing, or holds no such study; the message names it.
    """
    if not path.is_file():
        raise ValueError(f"{path} is missing; the search writes it when it begins")
    try:
        with TemporaryDirectory() as folder, quiet():
            copy = Path(folder) / "study.db"
            _copy(path, copy)
            return _load(copy)
    except (sqlite3.Error, OptunaError, KeyError, ValueError, RuntimeError) as error:
        why = CUT_OFF if _is_half_written(error) else " ".join(str(error).split())
        raise ValueError(f"{path} cannot be read as an Optuna study: {why}") from error


def _is_half_written(error: Exception) -> bool:
    """Tell whether SQLite would first have to undo what a killed process had begun."""
    return getattr(error, "sqlite_errorname", "") == "SQLITE_READONLY_ROLLBACK"


def _copy(path: Path, copy: Path) -> None:
    """Copy a database as of one moment, also while it is written to; SQLite alone would wait without end."""
    deadline = time.monotonic() + PATIENCE_S

    def wait(status: int, remaining: int, total: int) -> None:
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) and time.monotonic() > deadline:
            raise sqlite3.OperationalError(f"it was being written to for {PATIENCE_S:g} s; try again later")

    source = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=1.0)
    with closing(source), closing(sqlite3.connect(copy)) as target:
        source.backup(target, progress=wait)


def _load(path: Path) -> optuna.Study:
    storage = RDBStorage(f"sqlite:///{path}")
    try:
        stored = optuna.load_study(study_name=None, storage=storage)
        study = optuna.create_study(direction=stored.direction)
        study.add_trials([_escaped(trial) for trial in stored.get_trials()])
        return study
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _escaped(trial: FrozenTrial) -> FrozenTrial:
    safe, of_trial = deepcopy(trial), trial.distributions
    safe.distributions = {_text(name): _distribution(of_trial[name]) for name in trial.params}
    safe.params = {_text(name): _text(value) for name, value in trial.params.items()}
    safe.user_attrs = _role(trial.user_attrs)
    for attribute in trial.system_attrs:
        del safe.system_attrs[attribute]
    return safe


def _distribution(found: BaseDistribution) -> BaseDistribution:
    if isinstance(found, CategoricalDistribution):
        return CategoricalDistribution([_text(choice) for choice in found.choices])
    return found


def _text(value: Any) -> Any:
    return escape(value, quote=False) if isinstance(value, str) else value


def _role(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in attributes.items() if key == "role" and value in ROLES}
