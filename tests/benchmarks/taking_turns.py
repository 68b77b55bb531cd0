"""Timing of contenders that take turns, so that a busy moment of the machine hits them all."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch

WARM_UP_ROUNDS = 2
CALLS_BETWEEN_EVENTS = 10

Clock = Callable[[Callable[[], object]], tuple[float, float]]


@dataclass(frozen=True)
class Contender:
    """Something to time, and how many images each call of it handles."""

    call: Callable[[], object]
    images: int


@dataclass(frozen=True)
class Times:
    """Milliseconds per image in every round, by the clock and of this process."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def summary(self) -> dict[str, float]:
        low, median, high = statistics.quantiles(self.wall, n=4, method="inclusive")
        cpu = statistics.median(self.cpu)
        values = {"median_ms": median, "q1_ms": low, "q3_ms": high, "cpu_median_ms": cpu}
        return {name: rounded(value) for name, value in values.items()}


def take_turns(contenders: Mapping[str, Contender], clock: Clock, repeats: int) -> dict[str, Times]:
    """Call every contender once a round; the first rounds warm up and are not counted."""
    times = {name: Times() for name in contenders}
    for turn in range(WARM_UP_ROUNDS + repeats):
        for name, contender in contenders.items():
            wall, cpu = clock(contender.call)
            if turn >= WARM_UP_ROUNDS:
                times[name].wall.append(wall * 1e3 / contender.images)
                times[name].cpu.append(cpu * 1e3 / contender.images)
    return times


def ratio(one: Times, other: Times) -> float:
    """Median of the ratios within a round, by the clock."""
    return rounded(statistics.median(a / b for a, b in zip(one.wall, other.wall, strict=True)))


def rounded(value: float) -> float:
    """Four significant digits."""
    return float(f"{value:.4g}")


def clock_for(device: torch.device) -> Clock:
    """Clock that waits for what `device` still has to do, before and after."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None

    def clock(call: Callable[[], object]) -> tuple[float, float]:
        wait()
        started, cpu_started = time.perf_counter(), time.process_time()
        call()
        wait()
        return time.perf_counter() - started, time.process_time() - cpu_started

    return clock


def event_clock(device: torch.device) -> Clock:
    """Clock of a GPU: the mean of several calls in a row, between two of its own events.

    It tells the time that the GPU needs, or that launching takes if that is longer. On a CPU, where there are
    no events, it is the usual clock.
    """
    return _time_between_events if device.type == "cuda" else clock_for(device)


def _time_between_events(call: Callable[[], object]) -> tuple[float, float]:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    cpu_started = time.process_time()
    start.record()
    for _ in range(CALLS_BETWEEN_EVENTS):
        call()
    end.record()
    torch.cuda.synchronize()
    cpu = time.process_time() - cpu_started
    return start.elapsed_time(end) / 1e3 / CALLS_BETWEEN_EVENTS, cpu / CALLS_BETWEEN_EVENTS
