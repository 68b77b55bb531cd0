"""One trial: `step()` is one epoch of every fold and its evaluation, carried out by a warm worker group."""

import math
import time
from dataclasses import asdict
from typing import Any

from ray import tune

from genimage_core.protocol import summarise
from search.capacity import GroupShape
from search.checkpoints import folder_of, newest_whole, partial_folder, seal, trial_name
from search.job import EpochTable, FoldResult, Job, merge, smallest_micro_batch
from search.pictures import pictures_of
from search.space import Space, settle
from search.workers import CommandFailed, WorkerGroup, WorkerGroupDied


class DetectorTrial(tune.Trainable):  # type: ignore[misc]
    """Ray Tune's view of a trial; the actor and its workers are handed on from one trial to the next.

    An early stop is decided between two steps, so it never has to kill a worker. A worker that dies raises,
    and Ray Tune tries the trial again in a new group; an error of the training itself would come again, so
    that ends the trial with a result without value, and the group stays.
    """

    def setup(self, config: dict[str, Any], job: Job, space: Space, shape: GroupShape) -> None:
        """Start the worker group and load the first trial."""
        self._job, self._space, self._shape = job, space, shape
        self._group = self._start_group()
        try:
            self._begin(config)
        except BaseException:
            self._group.close()
            raise

    def _start_group(self) -> WorkerGroup:
        return WorkerGroup(self._job, self._shape, self._space.resources.hang_limit_s)

    def _begin(self, config: dict[str, Any]) -> None:
        self._epoch, self._error, self._story = 0, "", ""
        self._plan = settle(self._space, config["params"], baseline=config["role"] == "baseline")
        self._from_epoch = config["from_epoch"]
        folder, seed = config.get("folder", ""), config.get("seed", self._job.seed)
        self._checkpoints = folder_of(self._job.run_dir / folder, config["number"])
        try:
            board = self._job.board / folder / trial_name(config["number"])
            pictures = None if folder else pictures_of(self._job.run_dir, config["number"])
            self._group.load(self._plan, seed, config.get("identities", {}), board, pictures)
        except CommandFailed as error:
            self._error, self._story = f"before the first epoch: {error}", error.story

    def step(self) -> dict[str, Any]:
        """Train and evaluate one epoch of every fold."""
        try:
            if self._epoch < self._from_epoch and not self._error:
                # Not in setup: a retry has a checkpoint of its own, newer than the one to go on from.
                self.load_checkpoint({"epoch": self._from_epoch})
                self._from_epoch = 0
            return self._failure() if self._error else self._run_epoch()
        except CommandFailed as error:
            self._error, self._story = str(error), error.story
            return self._failure()
        except BaseException:
            # Ray Tune throws this actor away; its workers must not keep the CPUs of the next one.
            self._group.close()
            raise

    def _failure(self) -> dict[str, Any]:
        return {
            self._job.objective: math.nan,
            "epoch": self._epoch,
            "done": True,
            "error": self._error,
            "story": self._story,
        }

    def _run_epoch(self) -> dict[str, Any]:
        started, clock = time.time(), time.perf_counter()
        ranks = self._group.epoch(self._epoch)
        self._epoch += 1
        busy = max(sum(r.train_s + r.eval_s for r in rank.values()) for rank in ranks)
        waited = time.perf_counter() - clock - busy
        return self._summary(merge(ranks)) | {"started": started, "busy_s": busy, "wait_s": waited}

    def _summary(self, results: dict[str, FoldResult]) -> dict[str, Any]:
        matrix = {fold: result.scores for fold, result in results.items()}
        metrics = summarise(self._job.folds, matrix)
        forgotten = [r.forgotten for r in results.values() if not math.isnan(r.forgotten)]
        if forgotten:
            metrics |= {"forgetting": sum(forgotten) / len(forgotten)}
        metrics |= smallest_micro_batch(results)
        return metrics | {
            "epoch": self._epoch,
            "done": self._epoch >= self._plan.training.epochs,
            "train_loss": sum(r.loss for r in results.values()) / len(results),
            "train_s": sum(r.train_s for r in results.values()),
            "eval_s": sum(r.eval_s for r in results.values()),
            "table": EpochTable(
                {f: {g: asdict(s) for g, s in row.items()} for f, row in matrix.items()},
                {fold: result.loss for fold, result in results.items()},
            ),
        }

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial on."""
        try:
            self._begin(new_config)
        except WorkerGroupDied:
            # Between two trials nobody watches the workers, and Ray Tune does not retry a failed hand-over.
            self._group.close()
            self._group = self._start_group()
            self._begin(new_config)
        return True

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        """Save this epoch in the run directory, where every node's workers can write."""
        if not self._error:  # else there is nothing new since the last one
            contents = self._group.save(partial_folder(self._checkpoints, self._epoch))
            seal(self._checkpoints, self._epoch, contents)
        return {"epoch": self._epoch}

    def load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Continue a trial from its last saved epoch that is whole; from the start if there is none."""
        self._epoch = newest_whole(self._checkpoints, checkpoint["epoch"])
        if self._epoch:
            self._group.restore(self._checkpoints / f"epoch_{self._epoch}")

    def cleanup(self) -> None:
        """End the workers."""
        self._group.close()
