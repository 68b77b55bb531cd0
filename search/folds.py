"""What one worker does for a trial: train and evaluate its folds. Knows no Ray."""

import math
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import cast

import torch
from torch.optim.swa_utils import AveragedModel

from genimage_core.data.batches import ImageSet, join
from genimage_core.data.images import load_images
from genimage_core.detectors.checkpoint import load_weights, save_checkpoint
from genimage_core.detectors.detector import Detector, build_detector
from genimage_core.detectors.info import CheckpointInfo
from genimage_core.evaluation import evaluate
from genimage_core.metrics import Scores
from genimage_core.protocol import Fold
from genimage_core.settings import derive_seed
from genimage_core.training import build_average, build_optimizer, train_epoch
from search.job import FoldResult, Job
from search.space import TrialPlan


@dataclass
class _Training:
    fold: Fold
    seed: int
    images: ImageSet
    detector: Detector
    optimizer: torch.optim.Optimizer
    average: AveragedModel | None

    @property
    def judged(self) -> Detector:
        """What is evaluated and kept: the average, where there is one."""
        return self.detector if self.average is None else cast(Detector, self.average.module)


class FoldWorker:
    """Trains the folds that fall to one rank; data and base stay between trials."""

    def __init__(self, job: Job, rank: int, world_size: int, device: torch.device) -> None:
        self.job, self.device = job, device
        self.seeds = {fold.name: derive_seed(job.seed, index) for index, fold in enumerate(job.folds)}
        self.folds = job.folds[rank::world_size]
        self.validation = self._load("val", job.search)
        others = {name: self.validation[name] for name in job.base_generators if name in self.validation}
        missing = [name for name in job.base_generators if name not in self.validation]
        self.base_images = others | self._load("val", missing)
        self.base_before = self._judge_base()
        train = self._load("train", {g for fold in self.folds for g in fold.train})
        self.training_sets = {fold.name: join([train[g] for g in fold.train]) for fold in self.folds}
        self.running: list[_Training] = []
        self.plan: TrialPlan | None = None

    def _load(self, split: str, names: Iterable[str]) -> dict[str, ImageSet]:
        return {name: self._load_one(name, split) for name in sorted(names)}

    def _load_one(self, name: str, split: str) -> ImageSet:
        job = self.job
        images = load_images(job.layout, name, split, job.data, job.seed, job.cache)
        if images.identity != job.identities[name, split]:
            raise ValueError(
                f"{socket.gethostname()} has other {split} images of {name} under {job.layout.root} than the "
                "machine where the search began; copy the data again, or put them on storage that all share"
            )
        return images

    def _judge_base(self) -> float:
        """Accuracy of the base on the generators that it was trained on; NaN if there are none."""
        if not self.base_images:
            return math.nan
        job = self.job
        base = build_detector(job.detector, image_size=job.data.image_size, base=f"checkpoint:{job.base}").to(
            self.device
        )
        return _mean_accuracy(evaluate(base, self.base_images))

    def load(self, plan: TrialPlan) -> None:
        """Make ready for another trial: fresh detectors on the base, fresh optimisers."""
        self.plan = plan
        self.running = [self._start(fold, plan) for fold in self.folds]

    def _start(self, fold: Fold, plan: TrialPlan) -> _Training:
        seed = self.seeds[fold.name]
        detector = build_detector(
            self.job.detector,
            image_size=self.job.data.image_size,
            base=f"checkpoint:{self.job.base}" if self.job.base else "scratch",
            freeze_depth=plan.freeze_depth,
            seed=seed,
            dropout=plan.training.dropout,
            drop_path=plan.training.drop_path,
        ).to(self.device)
        optimizer, average = build_optimizer(detector, plan.training), build_average(detector, plan.training)
        return _Training(fold, seed, self.training_sets[fold.name], detector, optimizer, average)

    def epoch(self, epoch: int) -> dict[str, FoldResult]:
        """Train every fold for one epoch (counted from 0) and evaluate it on all search generators."""
        assert self.plan is not None, "load() comes first"
        results = {}
        for run in self.running:
            stats = train_epoch(
                run.detector,
                run.optimizer,
                run.images,
                self.plan.policy,
                self.plan.training,
                epoch=epoch,
                seed=run.seed,
                average=run.average,
            )
            started = time.perf_counter()
            scores = evaluate(run.judged, {**self.validation, **self.base_images})
            forgotten = self.base_before - _mean_accuracy({name: scores[name] for name in self.base_images})
            searched = {name: scores[name] for name in self.validation}
            eval_s = time.perf_counter() - started
            results[run.fold.name] = FoldResult(searched, stats.loss, stats.seconds, eval_s, forgotten)
        return results

    def save(self, folder: Path) -> None:
        """Write detectors and optimisers of the folds of this rank into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        for run in self.running:
            trained = tuple(dict.fromkeys((*self.job.info.generators, *run.fold.train)))
            info = CheckpointInfo(**{**asdict(self.job.info), "generators": trained})
            save_checkpoint(folder / f"{run.fold.name}.safetensors", run.judged, info)
            state = {"optimizer": run.optimizer.state_dict()}
            if run.average is not None:
                state |= {"detector": run.detector.state_dict(), "average": run.average.state_dict()}
            torch.save(state, folder / f"{run.fold.name}.training.pt")

    def restore(self, folder: Path) -> None:
        """Continue from what `save` wrote; `load` must have been called with the same plan."""
        assert self.plan is not None, "load() comes first"
        for run in self.running:
            state = torch.load(folder / f"{run.fold.name}.training.pt", weights_only=True)
            run.optimizer.load_state_dict(state["optimizer"])
            if run.average is None:
                load_weights(folder / f"{run.fold.name}.safetensors", run.detector)
            else:
                run.detector.load_state_dict(state["detector"])
                run.average.load_state_dict(state["average"])


def _mean_accuracy(scores: Mapping[str, Scores]) -> float:
    return fmean(score.accuracy for score in scores.values()) if scores else math.nan
