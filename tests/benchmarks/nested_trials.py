"""The documented nesting: a Tune function that starts a Ray Train run for every trial, as its users write it.

Source of the shape: Ray's user guide "Hyperparameter Tuning with Ray Tune" (Ray Train V2).
"""

import json
import time
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer
from ray.tune.integration.ray_train import TuneReportCallback

from genimage_core.protocol import summarise
from search.job import Job
from search.space import TrialPlan


def train(config: dict[str, Any]) -> None:
    """Training function of the worker: every fold of one trial, epoch by epoch."""
    from ray.train.torch import get_device

    from search.folds import FoldWorker

    job: Job = config["job"]
    plan: TrialPlan = config["plan"]
    context = ray.train.get_context()
    worker = FoldWorker(job, context.get_world_rank(), context.get_world_size(), get_device())
    worker.load(plan, job.seed)
    for epoch in range(plan.training.epochs):
        results = worker.epoch(epoch)
        busy = sum(result.train_s + result.eval_s for result in results.values())
        value = summarise(job.folds, {fold: result.scores for fold, result in results.items()})
        ray.train.report({job.objective: value[job.objective], "busy_s": busy})
        with (job.run_dir / "busy.jsonl").open("a") as file:
            file.write(json.dumps(busy) + "\n")


def search(job: Job, plan: TrialPlan, trials: int) -> list[float]:
    """Run trials one after the other; the time at which each ended, the start before them."""

    def drive(config: dict[str, Any]) -> None:
        trainer = TorchTrainer(
            train,
            train_loop_config={"job": job, "plan": plan},
            scaling_config=ScalingConfig(num_workers=1),
            run_config=RunConfig(
                name=f"train-{tune.get_context().get_trial_id()}",
                storage_path=str(job.run_dir / "train"),
                callbacks=[TuneReportCallback()],
            ),
        )
        trainer.fit()
        with (job.run_dir / "ended.jsonl").open("a") as file:
            file.write(json.dumps(time.time()) + "\n")

    started = time.time()
    tune.Tuner(
        drive,
        tune_config=tune.TuneConfig(num_samples=trials, max_concurrent_trials=1),
        run_config=tune.RunConfig(storage_path=str(job.run_dir / "tune"), verbose=0),
    ).fit()
    return [started, *read_numbers(job.run_dir / "ended.jsonl")]


def read_numbers(path: Path) -> list[float]:
    """Read one number a line."""
    return [float(line) for line in path.read_text().splitlines()]
