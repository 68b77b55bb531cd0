"""Reads the records of a run directory into frozen dataclasses; nothing here judges or averages."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from genimage_core.generators import GENIMAGE, Catalog, Generator

Role = Literal["baseline", "searched"]
State = Literal["completed", "stopped", "failed", "interrupted"]
EPOCH_FIELDS = ("epoch", "train_loss", "losses", "train_s", "eval_s", "busy_s", "wait_s", "matrix")


@dataclass(frozen=True)
class Score:
    """One cell of a cross-generator matrix; None stands for a number that is missing or not finite."""

    accuracy: float | None = None
    real_accuracy: float | None = None
    fake_accuracy: float | None = None
    average_precision: float | None = None
    auroc: float | None = None
    images: int | None = None


@dataclass(frozen=True)
class Epoch:
    """What a trial had reached after one epoch.

    Attributes:
        epoch: Counted from 1.
        train_loss: Mean loss of the epoch.
        metrics: Objective and its companions by name.
        seconds: `train_s`, `eval_s` and `wait_s` where recorded.
        matrix: Fold name, then generator, to its score.
    """

    epoch: int
    train_loss: float | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    seconds: Mapping[str, float | None] = field(default_factory=dict)
    matrix: Mapping[str, Mapping[str, Score]] = field(default_factory=dict)


@dataclass(frozen=True)
class Trial:
    """One trial that has ended.

    It completed, was stopped early by the scheduler, failed, or was interrupted: ended by the user or by the
    time budget, after any number of epochs.
    """

    number: int
    role: Role
    state: State
    config: Mapping[str, Any] = field(default_factory=dict)
    epochs: tuple[Epoch, ...] = ()
    error: str | None = None
    retries: int = 0

    def final(self, metric: str) -> float | None:
        """Return `metric` of the last epoch, None if the trial has no such number."""
        return self.epochs[-1].metrics.get(metric) if self.epochs else None


@dataclass(frozen=True)
class Fold:
    """One detector of every trial: what it was trained on, and what it had not seen."""

    name: str
    train: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    off_family: tuple[str, ...] = ()


@dataclass(frozen=True)
class Base:
    """What the weights were trained on that every trial starts from, as far as it is recorded.

    Attributes:
        simulated: On simulated images.
        format_alignment: How those images were aligned.
    """

    simulated: bool = False
    format_alignment: str | None = None


@dataclass(frozen=True)
class Shortcuts:
    """What format, size, quality and bytes of the files of a run tell of their class.

    Attributes:
        level: `clean`, `shortcut` or `too few`.
        sentences: The verdict in words.
    """

    level: str
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Environment:
    """What was run, on what and how; `details` is the whole file."""

    name: str
    objective: str
    simulated: bool
    format_alignment: str | None
    base: Base
    shortcuts: Shortcuts | None
    command: tuple[str, ...]
    trials: int | None
    sealed: tuple[str, ...]
    folds: tuple[Fold, ...]
    catalog: Catalog
    space: Mapping[str, Any]
    details: Mapping[str, Any]


@dataclass(frozen=True)
class Records:
    """Everything a report is made from; times are None as long as the run has not written them.

    `opened` are the sealed generators that the run has looked at.
    """

    environment: Environment
    trials: tuple[Trial, ...] = ()
    timing: Mapping[str, float | None] | None = None
    finalists_timing: Mapping[str, float | None] | None = None
    has_best: bool = False
    opened: tuple[str, ...] = ()


def read_run(run_dir: Path) -> Records:
    """Read the records of a run, finished or still going on.

    Args:
        run_dir: The directory that the search wrote.

    Raises:
        ValueError: If there is no such run or a record cannot be understood; the message names the file,
            and the line where it has lines.
    """
    path = run_dir / "environment.json"
    if not path.is_file():
        raise ValueError(f"{run_dir} is not a run directory: it has no environment.json")
    timing, later = run_dir / "timing.json", run_dir / "finalists" / "timing.json"
    return Records(
        environment=_environment(_load(path.read_text("utf-8", "replace"), str(path)), str(path)),
        trials=read_trials(run_dir / "trials.jsonl"),
        timing=_timing(timing) if timing.is_file() else None,
        finalists_timing=_timing(later) if later.is_file() else None,
        has_best=(run_dir / "best.yaml").is_file(),
        opened=_opened(run_dir / "finalists.json"),
    )


def _load(text: str, where: str) -> Mapping[str, Any]:
    """Parse one JSON object; NaN and infinities, which json writes but JSON lacks, become None."""
    try:
        loaded = json.loads(text, parse_constant=lambda _: None, parse_float=_number)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where} is not valid JSON: {error.msg} (column {error.colno})") from error
    if not isinstance(loaded, dict):
        raise ValueError(f"{where} must hold a JSON object, got {type(loaded).__name__}")
    return loaded


def _environment(raw: Mapping[str, Any], where: str) -> Environment:
    protocol = _get(raw, "protocol", dict, where, {})
    data = _get(raw, "data", dict, where, {})
    folds = _get(protocol, "folds", list, where, [])
    return Environment(
        name=_get(raw, "name", str, where),
        objective=_get(raw, "objective", str, where),
        simulated=_get(raw, "simulated", bool, where, data.get("root_kind") == "mini"),
        format_alignment=_get(data, "format_alignment", str, f"{where}, data", None),
        base=_base(_get(raw, "base", dict, where, {}), f"{where}, base"),
        shortcuts=_shortcuts(_get(raw, "shortcuts", dict, where, None), f"{where}, shortcuts"),
        command=_names(raw, "command", where),
        trials=_get(raw, "trials", int, where, None),
        sealed=_names(protocol, "sealed", where),
        folds=tuple(_fold(fold, f"{where}, fold {i}") for i, fold in enumerate(folds, 1)),
        catalog=_catalog(_get(protocol, "generators", list, where, []), f"{where}, generators"),
        space=_get(raw, "space", dict, where, {}),
        details=raw,
    )


def _base(raw: Mapping[str, Any], where: str) -> Base:
    return Base(
        simulated=_get(raw, "simulated", bool, where, False),
        format_alignment=_get(raw, "format_alignment", str, where, None),
    )


def _catalog(entries: Sequence[Any], where: str) -> Catalog:
    """GenImage's generators and those of the run; older records know the former only."""
    named = [_check(entry, dict, where) for entry in entries]
    keys = ("name", "title", "family")
    return GENIMAGE.extended(Generator(*(_get(entry, key, str, where) for key in keys)) for entry in named)


def _shortcuts(raw: Mapping[str, Any] | None, where: str) -> Shortcuts | None:
    if raw is None:
        return None
    return Shortcuts(_get(raw, "level", str, where), _names(raw, "sentences", where))


def _fold(raw: Any, where: str) -> Fold:
    _check(raw, dict, where)
    lists = {key: _names(raw, key, where) for key in ("train", "left_out", "off_family")}
    return Fold(_get(raw, "name", str, where), **lists)


def read_trials(path: Path) -> tuple[Trial, ...]:
    """Read one trial a line; a later line about the same trial (after a resume) replaces the earlier one.

    Args:
        path: `trials.jsonl` of a run, or of its finalists; none is there before the first trial has ended.

    Raises:
        ValueError: If a line cannot be understood; the message names it.
    """
    if not path.is_file():
        return ()
    trials: dict[int, Trial] = {}
    for i, line in enumerate(path.read_text("utf-8", "replace").splitlines(keepends=True), 1):
        where = f"{path}, line {i}"
        if not line.strip() or _half_written(line):
            continue
        trial = _trial(_load(line, where), where)
        trials[trial.number] = trial
    return tuple(trials[number] for number in sorted(trials))


def _half_written(line: str) -> bool:
    """Tell whether a line is being appended at this very moment; the next report will have it."""
    return not line.endswith("\n") and not line.endswith("}")


def _trial(raw: Mapping[str, Any], where: str) -> Trial:
    return Trial(
        number=_get(raw, "number", int, where),
        role=_one_of(raw, "role", get_args(Role), where),
        state=_one_of(raw, "state", get_args(State), where),
        config=_get(raw, "config", dict, where, {}),
        epochs=tuple(_epoch(epoch, where) for epoch in _get(raw, "epochs", list, where, [])),
        error=_get(raw, "error", str, where, None),
        retries=_get(raw, "retries", int, where, 0),
    )


def _epoch(raw: Any, where: str) -> Epoch:
    _check(raw, dict, f"{where}, epochs")
    matrix = _get(raw, "matrix", dict, where, {})
    return Epoch(
        epoch=_get(raw, "epoch", int, where),
        train_loss=_number(raw.get("train_loss")),
        metrics={key: _number(value) for key, value in raw.items() if key not in EPOCH_FIELDS},
        seconds={key: _number(raw.get(key)) for key in ("train_s", "eval_s", "wait_s")},
        matrix={
            fold: {name: _score(score, f"{where}, matrix") for name, score in row.items()}
            for fold, row in ((fold, _check(row, dict, f"{where}, matrix")) for fold, row in matrix.items())
        },
    )


def _score(raw: Any, where: str) -> Score:
    _check(raw, dict, where)
    names = ("accuracy", "real_accuracy", "fake_accuracy", "average_precision", "auroc")
    numbers = {name: _number(raw.get(name)) for name in names}
    return Score(**numbers, images=_get(raw, "images", int, where, None))


def _opened(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        return ()
    seal = _get(_load(path.read_text("utf-8"), str(path)), "seal", dict, str(path), {})
    return _names(seal, "generators", f"{path}, seal")


def _timing(path: Path) -> Mapping[str, float | None]:
    return {key: _number(value) for key, value in _load(path.read_text("utf-8"), str(path)).items()}


def _number(value: Any) -> float | None:
    """Return a finite float, or None for everything that is not one."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _check(value: Any, kind: type, where: str) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{where}: expected {kind.__name__}, got {value!r:.60}")
    return value


def _get(raw: Mapping[str, Any], key: str, kind: type, where: str, default: Any = ...) -> Any:
    """Return `raw[key]` of the right kind; absent and null mean `default`, which `...` forbids."""
    value = raw.get(key)
    if value is None and default is not ...:
        return default
    return _check(value, kind, f"{where}, {key}")


def _names(raw: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    return tuple(str(name) for name in _get(raw, key, list, where, []))


def _one_of(raw: Mapping[str, Any], key: str, allowed: tuple[str, ...], where: str) -> Any:
    value = raw.get(key)
    if value not in allowed:
        raise ValueError(f"{where}: {key} must be one of {', '.join(allowed)}, got {value!r:.60}")
    return value
