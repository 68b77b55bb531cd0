"""What a person sees while the search runs: one live panel on a terminal, plain lines elsewhere."""

import time

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from search.checkpoints import trial_name
from search.errors import story_of
from search.records import Records, State, TrialRecord

STATES: tuple[State, ...] = ("completed", "stopped", "interrupted", "failed", "running")


class Display:
    """Shows trials done, running, stopped and failed, the best against the baseline, and the time left."""

    def __init__(
        self, records: Records, trials: int, deadline: float, console: Console, noun: str = "trial"
    ) -> None:
        """Begin with nothing to show.

        Args:
            records: What is shown.
            trials: How many there will be.
            deadline: Unix time at which no epoch starts any more.
            console: Where it is shown.
            noun: What a trial is called.
        """
        self._records, self._trials, self._noun = records, trials, noun
        self._deadline, self._console = deadline, console
        self._bar = Progress(
            TextColumn(f"{noun}s"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
        )
        self._task = self._bar.add_task(f"{noun}s", total=trials)
        self._live = Live(get_renderable=self._render, console=console, refresh_per_second=1, transient=True)

    def start(self) -> None:
        """Begin to show."""
        if self._console.is_terminal:
            self._live.start()

    def stop(self) -> None:
        """Leave the terminal as a summary line."""
        if self._console.is_terminal:
            self._live.stop()
        self._console.print(self.summary(ended=True))

    def note_start(self, record: TrialRecord) -> None:
        """Tell that a trial starts, and with what."""
        self._say(f"{self._noun} {record.number:>3} starts: {_settings(record)}")

    def note_epoch(self, record: TrialRecord) -> None:
        """Tell that a trial has finished an epoch."""
        epoch, value = record.epochs[-1], record.value(self._records.objective)
        self._say(
            f"{self._noun} {record.number:>3} epoch {epoch['epoch']}/{self._records.epochs}  "
            f"{self._records.objective} {value:.4f}  in-domain {epoch['in_domain_accuracy']:.4f}  "
            f"loss {epoch['train_loss']:.4f}"
        )

    def note_end(self, record: TrialRecord) -> None:
        """Tell what became of a trial."""
        if not record.error:
            self._say(f"{self._noun} {record.number:>3} {record.state}  |  {self.summary()}")
            return
        self.note(f"{self._noun} {record.number:>3} {record.state}: {record.error}")
        self.note(f"  with {_settings(record)}")
        self.note(f"  the full story: {story_of(self._records.run_dir, trial_name(record.number))}")
        self.note(f"  {self.summary()}")

    def note(self, text: str) -> None:
        """Say something that is neither."""
        self._console.print(text, highlight=False, markup=False)

    def _say(self, text: str) -> None:
        if not self._console.is_terminal:  # there the panel shows it
            self.note(text)

    def summary(self, *, ended: bool = False) -> str:
        """One line: counts, best, baseline, and the time left unless it has ended."""
        r = self._records
        counts = ", ".join(f"{r.count(s)} {s}" for s in STATES if r.count(s))
        known = r.baseline if r.baseline and r.baseline.epochs else None
        baseline = f"baseline {known.value(r.objective):.4f}" if known else "no baseline yet"
        best = f"best {r.best.value(r.objective):.4f} ({self._noun} {r.best.number})" if r.best else ""
        left = None if ended else self.seconds_left()
        return f"{counts or 'starting the workers'}; {best or 'no best yet'}, {baseline}" + (
            f"; about {_clock(left)} left" if left else ""
        )

    def seconds_left(self) -> float | None:
        """Estimate from the pace of the epochs so far and how long trials were, bounded by the deadline."""
        r, pace = self._records, self._records.seconds_per_epoch
        if pace is None:
            return None
        done = sum(len(record.epochs) for record in r.in_order())
        ended = [record.reached for record in r.in_order() if record.state != "running"]
        usual = max(1.0, sum(ended) / len(ended)) if ended else r.epochs
        ahead = sum(ended) + usual * (self._trials - len(ended)) - done
        return max(0.0, min(pace * ahead, self._deadline - time.time()))

    def _render(self) -> Group:
        ended = len(self._records.trials) - self._records.count("running")
        self._bar.update(self._task, completed=ended)
        table = Table(box=None, pad_edge=False)
        for column in (self._noun, "state", "epoch", self._records.objective, "in-domain"):
            table.add_column(column, justify="right" if column != "state" else "left")
        for record in self._records.in_order()[-8:]:
            self._add_row(table, record)
        return Group(self._bar, table, Text(self.summary()))

    def _add_row(self, table: Table, record: TrialRecord) -> None:
        number = f"{record.number} (baseline)" if record.role == "baseline" else str(record.number)
        if not record.epochs:
            table.add_row(number, record.state, "0", "", "")
            return
        last = record.epochs[-1]
        value = f"{record.value(self._records.objective):.4f}"
        table.add_row(number, record.state, str(last["epoch"]), value, f"{last['in_domain_accuracy']:.4f}")


def _settings(record: TrialRecord) -> str:
    return ", ".join(f"{name} {_short(value)}" for name, value in record.config.items()) or record.role


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
