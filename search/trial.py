"""One trial: `step()` is one epoch of every fold and its evaluation, carried out by a warm worker group."""

import math
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ray import tune

from genimage_core.protocol import summarise
from search.job import FoldResult, Job, merge
from search.space import Space, settle
from search.workers import CommandFailed, GroupShape, WorkerGroup, WorkerGroupDied


class DetectorTrial(tune.Trainable):  # type: ignore[misc]
    """Ray Tune's view of a trial; the actor and its workers are handed on from one trial to the next.

    An early stop is decided between two steps, so it never has to kill a worker. A worker that dies raises,
    and Ray Tune tries the trial again in a new group; an error of the training itself would come again, so
    that ends the trial with a result without value, and the group stays.
    """

    def setup(self, config: dict[str, Any], job: Job, space: Space, shape: GroupShape) -> None:
        """Start the worker group and load the first trial."""
        self._job, self._space, self._shape = job, space, shape
        self._group = WorkerGroup(job, shape)
        try:
            self._begin(config)
        except BaseException:
            self._group.close()
            raise

    def _begin(self, config: dict[str, Any]) -> None:
        self._epoch, self._error = 0, ""
        self._plan = settle(self._space, config["params"], baseline=config["role"] == "baseline")
        name = trial_name(config["number"])
        self._checkpoints = self._job.run_dir / "checkpoints" / name
        try:
            self._group.load(self._plan, self._job.run_dir / "tensorboard" / name)
        except CommandFailed as error:
            self._error = f"before the first epoch: {error}"

    def step(self) -> dict[str, Any]:
        """Train and evaluate one epoch of every fold."""
        try:
            return self._failure() if self._error else self._run_epoch()
        except CommandFailed as error:
            self._error = str(error)
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
        return metrics | {
            "epoch": self._epoch,
            "done": self._epoch >= self._plan.training.epochs,
            "train_loss": sum(r.loss for r in results.values()) / len(results),
            "train_s": sum(r.train_s for r in results.values()),
            "eval_s": sum(r.eval_s for r in results.values()),
            "matrix": {f: {g: asdict(s) for g, s in row.items()} for f, row in matrix.items()},
            "losses": {fold: result.loss for fold, result in results.items()},
        }

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial on."""
        try:
            self._begin(new_config)
        except WorkerGroupDied:
            # Between two trials nobody watches the workers, and Ray Tune does not retry a failed hand-over.
            self._group.close()
            self._group = WorkerGroup(self._job, self._shape)
            self._begin(new_config)
        return True

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        """Save this epoch in the run directory, where every node's workers can write.

        The one before is kept: if this actor dies before Ray Tune has heard of this one, the retry needs it.
        """
        folder = self._checkpoints / f"epoch_{self._epoch}"
        if self._error:
            return {"epoch": self._epoch, "folder": str(folder)}  # nothing new since the last one
        self._group.save(folder)
        for older in self._checkpoints.glob("epoch_*"):
            if int(older.name.removeprefix("epoch_")) < self._epoch - 1:
                shutil.rmtree(older)
        return {"epoch": self._epoch, "folder": str(folder)}

    def load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Continue a trial from its last saved epoch."""
        self._epoch = checkpoint["epoch"]
        self._group.restore(Path(checkpoint["folder"]))

    def cleanup(self) -> None:
        """End the workers."""
        self._group.close()


def trial_name(number: int) -> str:
    """Name of a trial's folders."""
    return f"trial_{number:04d}"
