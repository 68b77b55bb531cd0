"""The events of trials, turned into records, TensorBoard and the display."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from search.board import Board
from search.checkpoints import room_for_more, trial_name
from search.display import Display
from search.errors import disk_is_full, keep_story, last_line, story_of
from search.image_scores import keep_scores
from search.pictures import drop_pictures
from search.records import Records, TrialRecord
from search.resume import TIMING, write_json
from search.scheduler import Deadline
from search.winner import drop_useless


def keep_best(records: Records, ended: TrialRecord) -> None:
    """Keep what a trial of a search says of every image, and checkpoints and pictures of the best so far."""
    keep_scores(records.run_dir, ended)
    drop_useless(records, but=records.best)
    drop_pictures(records)


class Monitor:
    """Hears of every start, epoch and end of a trial, in the driver, and where the time went."""

    def __init__(
        self,
        records: Records,
        board: Board,
        display: Display,
        deadline: Deadline,
        tidy: Callable[[Records, TrialRecord], None],
    ) -> None:
        """Keep what is told.

        Args:
            records: Where trials are written down.
            board: TensorBoard.
            display: What the user sees.
            deadline: Called where the disk is full.
            tidy: Keeps and drops what a trial that has ended left behind.
        """
        self.records, self._board, self._display = records, board, display
        self._deadline, self._tidy = deadline, tidy

    def open(self) -> None:
        """Begin to show what happens."""
        self._display.start()

    def close(self) -> None:
        """Write down where the time went, and show nothing any more."""
        self._display.stop()
        self._board.close()
        write_json(self.records.run_dir / TIMING, self.records.timing())

    def note(self, text: str) -> None:
        """Say something to the user."""
        self._display.note(text)

    def note_room(self, nodes: int, trials: int) -> None:
        """Note that nodes have joined or left, so that `trials` can run at the same time now."""
        self.records.note_room(trials)
        self.note(f"nodes have joined or left, there are {nodes} now: room for {trials} trials at a time")

    def note_start(self, trial: Any) -> None:
        """Note that a trial starts."""
        self._display.note_start(self.records.trials[trial.config["number"]])

    def note_result(self, trial: Any, result: dict[str, Any]) -> None:
        """Note an epoch, or why there is none."""
        if "error" in result:
            self._note_failure(trial, result)
            return
        result = {**result, "matrix": result["table"].matrix, "losses": result["table"].losses}
        record = self.records.add(trial.config["number"], result)
        self._board.write_epoch(trial_name(record.number), result)
        self._display.note_epoch(record)
        if not self._deadline.full and not room_for_more(self.records.run_dir):
            self._deadline.full = True
            self.note("no room for another checkpoint: ending after this epoch")

    def note_end(self, trial: Any) -> None:
        """Note that a trial came to its end: of its epochs, early, or by an error of its own."""
        self._end(trial.config["number"], interrupted=trial.trial_id in self._deadline.interrupted)

    def note_retry(self, trial: Any) -> None:
        """Note that a trial is tried again after a worker died."""
        cause = self._cause(trial)
        self._ends_search(cause)
        record = self.records.retry(trial.config["number"], cause)
        self.note(f"trial {record.number:>3} starts again: {cause}")
        self.note(f"  the full story: {story_of(self.records.run_dir, trial_name(record.number))}")

    def note_loss(self, trial: Any) -> None:
        """Note that a trial failed for good."""
        cause = self._cause(trial)
        full = self._ends_search(cause)
        self._end(trial.config["number"], error=None if full else cause, interrupted=full)

    def _note_failure(self, trial: Any, result: dict[str, Any]) -> None:
        if self._ends_search(result["error"]):
            self._deadline.interrupted.add(trial.trial_id)
        else:
            self.records.trials[trial.config["number"]].error = result["error"]
        self._keep(trial, result["story"])

    def _ends_search(self, cause: str) -> bool:
        """Whether a trial was cut off by a full disk: not its own fault, it can go on once there is room."""
        full = disk_is_full(cause)
        self._deadline.full = self._deadline.full or full
        return full

    def settle(self, error: str | None = None) -> None:
        """Note the end of every trial that a search has left running: by an error, or else by the user.

        A disk without room is nobody's error: what was running can go on once there is some.
        """
        error = None if self._deadline.full else error
        for record in self.records.in_order():
            if record.state == "running":
                self._end(record.number, error=error, interrupted=True)
        self.records.write_table()

    def _end(self, number: int, *, error: str | None = None, interrupted: bool = False) -> None:
        record = self.records.finish(number, error=error, interrupted=interrupted)
        params = {"role": record.role, **record.config}
        self._board.write_hyperparameters(trial_name(number), params, record.state)
        self._tidy(self.records, record)
        self._display.note_end(record)

    def _keep(self, trial: Any, story: str) -> None:
        keep_story(story, self.records.run_dir, trial_name(trial.config["number"]))

    def _cause(self, trial: Any) -> str:
        """Say on one line why Ray Tune lost a trial; keep the rest."""
        path = trial.error_file and Path(trial.error_file)
        text = (
            path.read_text(encoding="utf-8", errors="replace") if path and path.exists() else "unknown cause"
        )
        self._keep(trial, text)
        return re.sub(r"^(\w+\.)*(RuntimeError|WorkerGroupDied): ", "", last_line(text)) or "unknown cause"
