"""The records of a run: a journal of every event, and a line per finished trial for those who report."""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from search.journal import Event, Journal, append_line
from search.timing import Session, Timing, summarise_time

State = Literal["running", "completed", "stopped", "interrupted", "failed"]


@dataclass
class TrialRecord:
    """One trial as it goes on.

    Attributes:
        number: Its number in the study, the baseline being 0.
        role: `baseline` or `searched`.
        config: The searched parameters.
        state: Where it stands: `stopped` by the scheduler, `interrupted` by the user or the time budget.
        epochs: Every epoch's metrics, seconds and, until the trial has ended, matrix.
        error: Why it failed, on one line.
        retries: How often it was started again after a worker died.
    """

    number: int
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

    def forget_matrices(self) -> None:
        """Drop what is on the disk and not asked for again: of thousands of trials it fills the memory."""
        self.epochs = [{k: v for k, v in epoch.items() if k != "matrix"} for epoch in self.epochs]


KEPT = ("epoch", "train_loss", "losses", "train_s", "eval_s", "busy_s", "wait_s", "matrix")
METRICS = (
    "off_family_accuracy",
    "left_out_accuracy",
    "worst_left_out",
    "in_domain_accuracy",
    "average_precision",
    "auroc",
)
OPTIONAL = ("forgetting", "micro_batch")  # where a base can forget; where whole batches do not fit


JOURNAL, LINES, TABLE = "journal.jsonl", "trials.jsonl", "trials.csv"
TABLE_SHARE = 0.02  # of the time at most goes into writing the table again


class Records:
    """All trials of a run, in memory and on disk.

    Everything is an event in the journal first: a run directory that is opened again, is as it was left.
    """

    def __init__(self, run_dir: Path, objective: str, epochs: int) -> None:
        """Open the records of a run.

        Raises:
            ValueError: If the journal is damaged.
        """
        self.run_dir, self.objective, self.epochs = run_dir, objective, epochs
        self.trials: dict[int, TrialRecord] = {}
        self.sessions: list[Session] = []
        self._stops: dict[int, int] = {}  # epoch by trial
        self._journal = Journal(run_dir / JOURNAL)
        self._table_due = 0.0
        for event in self._journal.events:
            self._apply(event)
        self._journal.events.clear()  # the trials hold what is needed of them

    def open_session(self, started: float, slots: int, groups: int, gpus: float = 0.0) -> None:
        """Note that a process takes the run on.

        Args:
            started: When it did.
            slots: Workers that can be busy at the same time.
            groups: Trials that can run at the same time.
            gpus: That each worker holds.
        """
        self._note({"event": "session", "started": started, "slots": slots, "groups": groups, "gpus": gpus})

    def note_room(self, groups: int) -> None:
        """Note that nodes have joined or left, so that `groups` trials can run at the same time now."""
        self._note({"event": "room", "groups": groups})

    def begin(self, number: int, role: str, params: Mapping[str, Any]) -> TrialRecord:
        """Note that a trial has been suggested."""
        self._note({"event": "begin", "number": number, "role": role, "config": dict(params)})
        return self.trials[number]

    def resume(self, number: int, epoch: int) -> TrialRecord:
        """Note that a trial that was cut off goes on after `epoch`, whatever came later."""
        self._note({"event": "resume", "number": number, "epoch": epoch})
        return self.trials[number]

    def add(self, number: int, result: Mapping[str, Any]) -> TrialRecord:
        """Note an epoch; one that a retry went through again replaces the first."""
        epoch = {key: result[key] for key in (*METRICS, *KEPT)}
        epoch |= {key: result[key] for key in OPTIONAL if key in result}
        self._note({"event": "epoch", "number": number, "started": result["started"], "epoch": epoch})
        return self.trials[number]

    def note_stop(self, number: int, epoch: int) -> None:
        """Note that early stopping ends a trial after `epoch`, whenever it gets to do so."""
        self._note({"event": "stop", "number": number, "epoch": epoch})

    def is_stopped(self, number: int, epoch: int) -> bool:
        """Whether early stopping has ended a trial after `epoch`."""
        return self._stops.get(number) == epoch

    def retry(self, number: int, cause: str) -> TrialRecord:
        """Note that a trial is tried again."""
        self._note({"event": "retry", "number": number, "cause": cause})
        return self.trials[number]

    def finish(self, number: int, *, error: str | None = None, interrupted: bool = False) -> TrialRecord:
        """Settle a trial's state and write it."""
        record = self.trials[number]
        record.error = record.error or error
        state = self._final_state(record, interrupted)
        self._note({"event": "end", "number": number, "state": state, "error": record.error})
        self.write_line(number)
        record.forget_matrices()
        if time.monotonic() >= self._table_due:
            self.write_table()
        return record

    def write_line(self, number: int) -> None:
        """Write what there is of a trial into `trials.jsonl`; a later line replaces an earlier one."""
        append_line(self.run_dir / LINES, json.dumps(asdict(self.trials[number])))

    def _note(self, event: Event) -> None:
        event = {"at": time.time(), **event}
        self._journal.append(event)
        self._apply(event)

    def _apply(self, event: Event) -> None:
        """Bring the trials up to date with an event, new or read again."""
        match event["event"]:
            case "session":
                started, gpus = event["started"], event.get("gpus", 0.0)
                self.sessions.append(Session(started, event["slots"], event["groups"], started, gpus))
            case "room":
                self.sessions[-1].room.append((event["at"], event["groups"]))
            case "begin":
                self.trials[event["number"]] = TrialRecord(event["number"], event["role"], event["config"])
            case "resume":
                self._apply_resume(event)
            case "epoch":
                self._apply_epoch(event)
            case "stop":
                self._stops[event["number"]] = event["epoch"]
            case "retry":
                self.trials[event["number"]].retries += 1
            case "end":
                record = self.trials[event["number"]]
                record.state, record.error = event["state"], event["error"]
        if self.sessions:
            self.sessions[-1].last_event = event["at"]

    def _apply_resume(self, event: Event) -> None:
        number, epoch = event["number"], event["epoch"]
        record = self.trials[number]
        record.state, record.error = "running", None
        record.epochs = [known for known in record.epochs if known["epoch"] <= epoch]
        if self._stops.get(number, 0) > epoch:
            del self._stops[number]  # it will be decided again

    def _apply_epoch(self, event: Event) -> None:
        record, epoch = self.trials[event["number"]], event["epoch"]
        record.epochs = [known for known in record.epochs if known["epoch"] < epoch["epoch"]] + [epoch]
        if self.sessions:
            self.sessions[-1].add(event["at"], record.number, event["started"], epoch)

    def _final_state(self, record: TrialRecord, interrupted: bool) -> State:
        without_value = not math.isfinite(record.value(self.objective))
        if record.error or (without_value and (record.epochs or not interrupted)):
            return "failed"
        if record.reached >= self.epochs:
            return "completed"
        return "interrupted" if interrupted else "stopped"

    def write_table(self) -> None:
        """Write `trials.csv`: of thousands of trials not after each one, so once more at the end."""
        started = time.monotonic()
        rows = [_row(record) for record in self.in_order() if record.state != "running"]
        partial = self.run_dir / f".{TABLE}.partial"
        pd.DataFrame(rows).to_csv(partial, index=False)
        partial.replace(self.run_dir / TABLE)
        now = time.monotonic()
        self._table_due = now + (now - started) / TABLE_SHARE

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

    @property
    def seconds_per_epoch(self) -> float | None:
        """The pace of this session, trials side by side counted as one; None before its first epoch."""
        session = self.sessions[-1] if self.sessions else None
        return (time.time() - session.first_step) / session.epochs if session and session.epochs else None

    def timing(self) -> Timing:
        """Where the time went, over all sessions."""
        return summarise_time(self.sessions, time.time())


def _row(record: TrialRecord) -> dict[str, Any]:
    last = record.epochs[-1] if record.epochs else {}
    return {
        "number": record.number,
        "role": record.role,
        "state": record.state,
        "epoch": record.reached,
        **{name: last.get(name) for name in (*METRICS, *OPTIONAL) if last},
        "train_s": sum(epoch["train_s"] for epoch in record.epochs),
        "eval_s": sum(epoch["eval_s"] for epoch in record.epochs),
        "retries": record.retries,
        "error": record.error,
        **{f"config/{name}": value for name, value in record.config.items()},
    }
