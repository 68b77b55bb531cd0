"""The records of a run: one line per finished trial, written as it finishes; reports are built from these."""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd

State = Literal["running", "completed", "stopped", "interrupted", "failed"]


@dataclass
class TrialRecord:
    """One trial as it goes on.

    Attributes:
        number: Its number in the study, the baseline being 0.
        trial_id: Ray Tune's name for it.
        role: `baseline` or `searched`.
        config: The searched parameters.
        state: Where it stands: `stopped` by the scheduler, `interrupted` by the user or the time budget.
        epochs: Every epoch's metrics, matrix and seconds.
        error: Why it failed, on one line.
        retries: How often it was started again after a worker died.
    """

    number: int
    trial_id: str
    role: str
    config: dict[str, Any]
    state: State = "running"
    epochs: list[dict[str, Any]] = field(default_factory=list)
    error: str | None = None
    retries: int = 0

    def value(self, objective: str) -> float:
        """The objective at the last epoch, NaN before the first."""
        return float(self.epochs[-1][objective]) if self.epochs else math.nan

    @property
    def reached(self) -> int:
        """Epochs that it has behind it."""
        return int(self.epochs[-1]["epoch"]) if self.epochs else 0


KEPT = ("epoch", "train_loss", "losses", "train_s", "eval_s", "busy_s", "wait_s", "matrix")
METRICS = (
    "off_family_accuracy",
    "left_out_accuracy",
    "worst_left_out",
    "in_domain_accuracy",
    "average_precision",
    "auroc",
)
OPTIONAL = ("forgetting",)  # where the base was trained on a generator


class Records:
    """All trials of a run, in memory and on disk."""

    def __init__(self, run_dir: Path, objective: str, epochs: int, started: float) -> None:
        self.run_dir, self.objective, self.epochs = run_dir, objective, epochs
        self.trials: dict[str, TrialRecord] = {}
        self.started = started
        self.first_step: float | None = None
        self.first_result: float | None = None
        self.last_result: float | None = None
        self.ended: dict[str, float] = {}

    def begin(self, trial_id: str, config: Mapping[str, Any]) -> TrialRecord:
        """Note that a trial starts, or starts again."""
        if trial_id not in self.trials:
            self.trials[trial_id] = TrialRecord(
                config["number"], trial_id, config["role"], dict(config["params"])
            )
        return self.trials[trial_id]

    def add(self, trial_id: str, result: Mapping[str, Any]) -> TrialRecord:
        """Note an epoch; one that a retry went through again replaces the first."""
        record = self.trials[trial_id]
        epoch = {key: result[key] for key in (*METRICS, *KEPT)}
        epoch |= {key: result[key] for key in OPTIONAL if key in result}
        record.epochs = [known for known in record.epochs if known["epoch"] < epoch["epoch"]] + [epoch]
        self._count_seconds(trial_id, result)
        return record

    def _count_seconds(self, trial_id: str, result: Mapping[str, Any]) -> None:
        now = time.time()
        self.first_step = min(self.first_step or math.inf, result["started"])
        self.first_result = self.first_result or now
        self.last_result = self.ended[trial_id] = now

    def finish(self, trial_id: str, *, interrupted: bool = False) -> TrialRecord:
        """Settle a trial's state and write it."""
        record = self.trials[trial_id]
        record.state = self._final_state(record, interrupted)
        with (self.run_dir / "trials.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(_line(record)) + "\n")
        self._write_table()
        return record

    def _final_state(self, record: TrialRecord, interrupted: bool) -> State:
        without_value = not math.isfinite(record.value(self.objective))
        if record.error or (without_value and (record.epochs or not interrupted)):
            return "failed"
        if record.reached >= self.epochs:
            return "completed"
        return "interrupted" if interrupted else "stopped"

    def _write_table(self) -> None:
        rows = [
            {
                "number": r.number,
                "role": r.role,
                "state": r.state,
                "epoch": r.reached,
            }
            | {name: r.epochs[-1].get(name) for name in (*METRICS, *OPTIONAL) if r.epochs}
            | {"train_s": sum(e["train_s"] for e in r.epochs), "eval_s": sum(e["eval_s"] for e in r.epochs)}
            | {"retries": r.retries, "error": r.error, "trial_id": r.trial_id}
            | {f"config/{name}": value for name, value in r.config.items()}
            for r in self.in_order()
            if r.state != "running"
        ]
        pd.DataFrame(rows).to_csv(self.run_dir / "trials.csv", index=False)

    def in_order(self) -> list[TrialRecord]:
        """Every trial that has begun, by number; a copy, since the display reads it from its own thread."""
        return sorted(self.trials.values(), key=lambda record: record.number)

    def count(self, state: State) -> int:
        """How many trials are in `state`."""
        return sum(record.state == state for record in self.in_order())

    @property
    def baseline(self) -> TrialRecord | None:
        """The baseline, once it has begun."""
        return next((r for r in self.in_order() if r.role == "baseline"), None)

    @property
    def best(self) -> TrialRecord | None:
        """The completed trial with the highest objective; of equals the first."""
        done = [r for r in self.in_order() if r.state == "completed"]
        return max(done, key=lambda r: (r.value(self.objective), -r.number), default=None)

    def timing(self, slots: int, groups: int) -> dict[str, float | int | None]:
        """Where the time went.

        Args:
            slots: Workers that can be busy at the same time.
            groups: Trials that can run at the same time.

        Returns:
            `goodput` is the workers' busy seconds (training and evaluation) over the seconds they were held,
            from the first step of the first trial to the last result; `overhead_per_trial_s` is what a trial
            after the first took beyond its slowest worker's busy seconds (with trials side by side: what any
            trial took, idling at the end included).
        """
        if self.first_step is None or self.last_result is None or self.first_result is None:
            return {"wall_s": time.time() - self.started}
        held = self.last_result - self.first_step
        epochs = [epoch for record in self.trials.values() for epoch in record.epochs]
        train_s, eval_s = (sum(epoch[part] for epoch in epochs) for part in ("train_s", "eval_s"))
        return {
            "wall_s": time.time() - self.started,
            "startup_s": self.first_step - self.started,
            "first_result_s": self.first_result - self.started,
            "train_s": train_s,
            "eval_s": eval_s,
            "held_s": held * slots,
            "goodput": (train_s + eval_s) / (held * slots),
            "overhead_per_trial_s": self._overhead(groups),
            "workers": slots,
        }

    def _overhead(self, groups: int) -> float | None:
        assert self.first_step is not None and self.last_result is not None, "timing() has checked"
        order = sorted(self.ended, key=lambda trial_id: self.ended[trial_id])
        counted, since = (order[1:], self.ended[order[0]]) if groups == 1 else (order, self.first_step)
        held = (self.last_result - since) * groups
        busy = sum(epoch["busy_s"] for trial_id in counted for epoch in self.trials[trial_id].epochs)
        return (held - busy) / len(counted) if counted else None


def _line(record: TrialRecord) -> dict[str, Any]:
    return {name: getattr(record, name) for name in TrialRecord.__dataclass_fields__}
