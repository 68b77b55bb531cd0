"""What one worker does for a trial: train and evaluate its folds. Knows no Ray."""

import math
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import torch

from genimage_core.curriculum import MEASURED, easiest_first
from genimage_core.data.batches import ImageSet, join
from genimage_core.data.images import load_images
from genimage_core.detectors.checkpoint import load_weights, save_checkpoint
from genimage_core.detectors.detector import Detector, build_detector
from genimage_core.evaluation import evaluate
from genimage_core.fold_training import FoldTraining
from genimage_core.frozen_features import FrozenFeatures
from genimage_core.metrics import Scores
from genimage_core.protocol import Fold, hold_out
from genimage_core.settings import derive_seed
from search.checkpoints import Contents, secure
from search.image_scores import LOGITS, read_logits, write_logits
from search.job import FoldResult, Job, ReadyBase
from search.space import TrialPlan


class FoldWorker:
    """Trains the folds that fall to one rank; data and base stay between trials."""

    def __init__(
        self,
        job: Job,
        rank: int,
        world_size: int,
        device: torch.device,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        """Load the images.

        Args:
            job: What stays the same for every trial.
            rank: Of this worker.
            world_size: Number of workers.
            device: Where it trains.
            beat: Called at every batch, and now and then while images are loaded.
        """
        self.job, self.device, self._beat = job, device, beat
        self.folds = job.folds[rank::world_size]
        self._identities = dict(job.identities)
        self.seed: int | None = None
        self.training: dict[str, ImageSet] = {}
        self.validation = self._load("val", job.search, job.seed)
        judged = {name for base in job.bases.values() for name in base.judged}
        self.tests = self.validation | self._load("val", judged - set(self.validation), job.seed)
        self.before = {name: self._judge(name, base) for name, base in job.bases.items()}
        self._draw(job.seed)
        self._frozen = FrozenFeatures()
        self.running: list[FoldTraining] = []
        self.plan: TrialPlan | None = None

    def _draw(self, seed: int) -> None:
        """Draw training images and the seeds of the folds."""
        self.seed, self.training = None, {}  # what was there makes room first, for good if this fails
        self.seeds = {fold.name: derive_seed(seed, index) for index, fold in enumerate(self.job.folds)}
        self.training = self._load("train", {g for fold in self.folds for g in fold.train}, seed)
        self.seed = seed

    def _load(self, split: str, names: Iterable[str], seed: int) -> dict[str, ImageSet]:
        return {name: self._load_one(name, split, seed) for name in sorted(names)}

    def _load_one(self, name: str, split: str, seed: int) -> ImageSet:
        job = self.job
        # Decoding on a new node takes its time, and so does waiting for a process that decodes the same.
        with _beating(self._beat):
            images = load_images(job.layout, name, split, job.data, seed, job.cache)
        if images.identity != self._identities[name, split, seed]:
            raise ValueError(
                f"{socket.gethostname()} has other {split} images of {name} under {job.layout.root} than the "
                "machine where the search began; copy the data again, or put them on storage that all share"
            )
        return images

    def _judge(self, name: str, base: ReadyBase) -> float:
        """Accuracy of a base on the generators that it was trained on; NaN if there are none."""
        return _mean_accuracy(self._scores_of_base(name, {g: self.tests[g] for g in base.judged}))

    def _scores_of_base(self, name: str, images: Mapping[str, ImageSet]) -> dict[str, Scores]:
        if not images:
            return {}
        size, path = self.job.data.image_size, self.job.bases[name].path
        base = build_detector(self.job.detector, image_size=size, base=f"checkpoint:{path}")
        return evaluate(self._watched(base.to(self.device)), images)

    def _watched(self, detector: Detector) -> Detector:
        """Let every batch that goes through a detector be a sign of life."""
        detector.head.register_forward_pre_hook(lambda *_: self._beat())
        return detector

    def load(self, plan: TrialPlan, seed: int, identities: Mapping[str, str] | None = None) -> None:
        """Make ready for another trial: fresh detectors on the base, fresh optimisers.

        Args:
            plan: What they are trained with.
            seed: Of the training: initial weights, order, augmentation, and which images are drawn for it.
            identities: Of those images by generator, where the job does not have them.
        """
        self._identities |= {(name, "train", seed): known for name, known in (identities or {}).items()}
        self.plan = plan
        self.running = []  # the trial before makes room first
        if seed != self.seed:
            self._draw(seed)
        self.running = [self._start(fold, plan) for fold in self.folds]

    def _start(self, fold: Fold, plan: TrialPlan) -> FoldTraining:
        seed, base = self.seeds[fold.name], self.job.bases[plan.base]
        detector = build_detector(
            self.job.detector,
            image_size=self.job.data.image_size,
            base=f"checkpoint:{base.path}" if base.path else "scratch",
            freeze_depth=plan.freeze_depth,
            seed=seed,
            dropout=plan.training.dropout,
            drop_path=plan.training.drop_path,
        ).to(self.device)
        self._watched(detector)
        catalog = self.job.layout.catalog
        out, learnt = hold_out(fold.train, base.info.generators, catalog, plan.training.patience, seed)
        order = self._easiest_first(learnt, plan)
        images = {name: self.training[name] for name in order}
        return FoldTraining(fold, seed, plan.policy, plan.training, images, out, detector)

    def _easiest_first(self, names: Sequence[str], plan: TrialPlan) -> tuple[str, ...]:
        accuracy, curriculum = {}, plan.training.curriculum
        if curriculum == MEASURED:
            scores = self._scores_of_base(plan.base, {name: self.validation[name] for name in names})
            accuracy = {name: score.accuracy for name, score in scores.items()}
        return easiest_first(names, curriculum, accuracy)

    @property
    def training_sets(self) -> dict[str, ImageSet]:
        """What the detectors of the trial learn from, by fold."""
        return {run.fold.name: join(list(run.images.values())) for run in self.running}

    def epoch(self, epoch: int) -> dict[str, FoldResult]:
        """Train every fold for one epoch (counted from 0) and evaluate it on all search generators."""
        return {run.fold.name: self._named_epoch(run, epoch) for run in self.running}

    def _named_epoch(self, run: FoldTraining, epoch: int) -> FoldResult:
        try:
            return self._epoch(run, epoch)
        except Exception as error:
            error.add_note(f"detector of {run.fold.name}")
            raise

    def _epoch(self, run: FoldTraining, epoch: int) -> FoldResult:
        if run.ended:
            assert run.best is not None, "only a best epoch ends a training"
            return self._result(run, run.best.scores, 0.0, 0.0)
        stats = run.train(epoch)
        started = time.perf_counter()
        scores = run.evaluate(self.tests, self._frozen)
        return self._result(run, scores, stats.seconds, time.perf_counter() - started)

    def _result(
        self, run: FoldTraining, scores: Mapping[str, Scores], train_s: float, eval_s: float
    ) -> FoldResult:
        assert self.plan is not None, "load() comes first"
        judged = self.job.bases[self.plan.base].judged
        forgotten = self.before[self.plan.base] - _mean_accuracy({name: scores[name] for name in judged})
        searched = {name: scores[name] for name in self.validation}
        return FoldResult(searched, run.loss, train_s, eval_s, forgotten, run.learner.micro_batch)

    def save(self, folder: Path) -> Contents:
        """Write detectors and optimisers of the folds of this rank into `folder`; what was written.

        A detector's temperature is fitted on validation images of the generators that it learns from, where
        the search also looks for its winner.
        """
        folder.mkdir(parents=True, exist_ok=True)
        contents: Contents = {}
        assert self.plan is not None, "load() comes first"
        base = self.job.bases[self.plan.base].info
        for run in self.running:
            trained = tuple(dict.fromkeys((*base.generators, *run.fold.train)))
            info = replace(
                base, generators=trained, temperature=run.temperature, calibrated_on=tuple(run.images)
            )
            weights = folder / f"{run.fold.name}.safetensors"
            state = folder / f"{run.fold.name}.training.pt"
            save_checkpoint(weights, run.kept, info)
            logits = folder / f"{run.fold.name}{LOGITS}"
            torch.save(run.state(), state)
            searched = {name: values for name, values in run.logits.items() if name in self.validation}
            write_logits(logits, searched)
            contents |= secure(weights) | secure(state) | secure(logits)
        return contents

    def restore(self, folder: Path) -> None:
        """Continue from what `save` wrote; `load` must have been called with the same plan."""
        assert self.plan is not None, "load() comes first"
        for run in self.running:
            state = torch.load(folder / f"{run.fold.name}.training.pt", weights_only=True)
            kept = deepcopy(run.detector)
            load_weights(folder / f"{run.fold.name}.safetensors", kept)
            run.restore(state, kept, read_logits(folder / f"{run.fold.name}{LOGITS}"))


@contextmanager
def _beating(beat: Callable[[], None]) -> Iterator[None]:
    done = threading.Event()

    def keep_on() -> None:
        while not done.wait(1.0):
            beat()

    thread = threading.Thread(target=keep_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _mean_accuracy(scores: Mapping[str, Scores]) -> float:
    return fmean(score.accuracy for score in scores.values()) if scores else math.nan
