"""Where the time of a run went, session by session: one for its start, one for every time it was resumed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

Timing = dict[str, float | int | None]


@dataclass
class Session:
    """What one process gave to a run; all times are Unix times.

    Attributes:
        started: When it began.
        slots: Workers that can be busy at the same time, at its start.
        groups: Trials that can run at the same time, at its start.
        last_event: Of anything that was noted.
        gpus: That each worker holds.
        first_step: Start of the first epoch; infinite before it.
        first_result: When the first epoch was heard of; infinite before it.
        ended: When the last epoch of each trial was heard of.
        busy: Seconds that the slowest worker of each trial was training or evaluating.
        epochs: How many.
        train_s: Of all workers.
        eval_s: Of all workers.
        room: When nodes joined or left, and how many trials could run from then on.
    """

    started: float
    slots: int
    groups: int
    last_event: float
    gpus: float = 0.0
    first_step: float = math.inf
    first_result: float = math.inf
    ended: dict[int, float] = field(default_factory=dict)
    busy: dict[int, float] = field(default_factory=dict)
    epochs: int = 0
    train_s: float = 0.0
    eval_s: float = 0.0
    room: list[tuple[float, int]] = field(default_factory=list)

    def add(self, at: float, number: int, started: float, epoch: Mapping[str, Any]) -> None:
        """Note an epoch of trial `number`, heard of at `at`; one that is repeated was paid for twice."""
        self.first_step = min(self.first_step, started)
        self.first_result = min(self.first_result, at)
        self.ended[number] = at
        self.busy[number] = self.busy.get(number, 0.0) + epoch["busy_s"]
        self.epochs += 1
        self.train_s += epoch["train_s"]
        self.eval_s += epoch["eval_s"]

    @property
    def held_s(self) -> float:
        """Seconds from the first step to the last result, of all workers for which there was room."""
        return self._group_seconds(self.first_step) * self.slots / self.groups if self.ended else 0.0

    def _group_seconds(self, since: float) -> float:
        """Seconds from `since` to the last result, times the trials that could run meanwhile."""
        until = max(self.ended.values())
        steps = [(self.started, self.groups), *self.room, (math.inf, 0)]
        return sum(
            groups * max(0.0, min(end, until) - max(begin, since))
            for (begin, groups), (end, _) in pairwise(steps)
        )

    def beyond_work(self) -> tuple[float, int]:
        """Seconds of trials beyond their slowest worker's busy ones, and of how many trials.

        With one trial at a time, those after the first; else what any trial took, idling at the end included.
        """
        if not self.ended:
            return 0.0, 0
        order = sorted(self.ended, key=lambda number: self.ended[number])
        in_turn = {self.groups, *(groups for _, groups in self.room)} == {1}
        counted, since = (order[1:], self.ended[order[0]]) if in_turn else (order, self.first_step)
        held = self._group_seconds(since)
        return held - sum(self.busy[number] for number in counted), len(counted)


def summarise_time(sessions: Sequence[Session], now: float) -> Timing:
    """Add up the sessions of a run, of which the last goes on until `now`.

    Returns:
        `held_s` is worker seconds, `gpu_s` GPU seconds, from the first step of a session to its last result.
        `goodput` is the workers' busy seconds (training and evaluation) over the seconds they were held, from
        the first step of a session to its last result; `overhead_per_trial_s` is what a trial took beyond its
        slowest worker's busy seconds; `startup_s` and `first_result_s` are the first session's.
    """
    walls = [s.last_event - s.started for s in sessions[:-1]] + [now - s.started for s in sessions[-1:]]
    timing: Timing = {"wall_s": sum(walls), "sessions": len(sessions)}
    worked = [session for session in sessions if session.ended]
    if not worked:
        return timing
    train_s, eval_s = sum(s.train_s for s in worked), sum(s.eval_s for s in worked)
    held_s = sum(s.held_s for s in worked)
    beyond, trials = (sum(parts) for parts in zip(*(s.beyond_work() for s in worked), strict=True))
    return timing | {
        "startup_s": worked[0].first_step - worked[0].started,
        "first_result_s": worked[0].first_result - worked[0].started,
        "train_s": train_s,
        "eval_s": eval_s,
        "held_s": held_s,
        "gpu_s": sum(s.held_s * s.gpus for s in worked),
        "goodput": (train_s + eval_s) / held_s if held_s else None,
        "overhead_per_trial_s": beyond / trials if trials else None,
        "workers": worked[-1].slots,
    }
