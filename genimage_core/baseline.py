"""The paper's two tasks: detectors trained on one generator each, tested on all, and on degraded images."""

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genimage_core.base_training import Trained, train_detector
from genimage_core.data.batches import ImageSet, join
from genimage_core.degrade import DEGRADATIONS
from genimage_core.detectors.catalogue import find_detector
from genimage_core.detectors.checkpoint import save_checkpoint
from genimage_core.detectors.info import CheckpointInfo
from genimage_core.evaluation import calibrate, predict
from genimage_core.metrics import Logits
from genimage_core.protocol import Fold
from genimage_core.settings import DataSettings, TrainingSettings, derive_seed

UNCHANGED = "unchanged"
Report = Callable[[str, int, int, float], None]  # what is trained, epochs done, epochs in all, loss


@dataclass(frozen=True)
class FoldLogits:
    """What one detector says of the validation images.

    Attributes:
        tests: By generator, shape (N,).
        degraded: By degradation, of the images of the generators it was trained on, one after the other.
        loss: Mean of the last epoch of its training, in nats.
        seconds: Of its training.
    """

    tests: Logits
    degraded: Logits
    loss: float
    seconds: float


@dataclass(frozen=True)
class Bench:
    """What all detectors of a comparison share.

    Attributes:
        out: Where weights and logits are kept.
        folds: What is trained on what.
        training_sets: By generator.
        validation: By generator.
        data: How the images are read.
        base: `scratch`, `imagenet` or `checkpoint:PATH`.
        seen: Generators that the base was trained on.
        simulated_base: Whether these were simulated ones.
        overrides: Fields of `TrainingSettings` that stand over those of a detector's authors.
        seed: Decides weights, order and augmentation.
        simulated: Whether the images are the embedded data set's.
    """

    out: Path
    folds: tuple[Fold, ...]
    training_sets: Mapping[str, ImageSet]
    validation: Mapping[str, ImageSet]
    data: DataSettings
    base: str
    seen: tuple[str, ...]
    simulated_base: bool
    overrides: Mapping[str, Any]
    seed: int
    simulated: bool

    def training_of(self, detector: str) -> TrainingSettings:
        """Settings of a detector's authors under those that were asked for."""
        return TrainingSettings(**{**find_detector(detector).training, **self.overrides})

    def weights_of(self, detector: str, fold: str) -> Path:
        """Where the weights are."""
        return self.out / "detectors" / detector / f"{fold}.safetensors"

    def logits_of(self, detector: str, fold: str) -> Path:
        """Where the logits are; there once all is done."""
        return self.out / "logits" / detector / f"{fold}.npz"

    def is_finished(self, detector: str) -> bool:
        """Whether all folds have been trained and tested."""
        return all(self.logits_of(detector, fold.name).exists() for fold in self.folds)


def run_detector(bench: Bench, detector: str, device: torch.device, report: Report) -> dict[str, FoldLogits]:
    """Train and test a detector on every fold; folds that an earlier call has finished are read."""
    found = {}
    for index, fold in enumerate(bench.folds):
        path = bench.logits_of(detector, fold.name)
        if not path.exists():
            _run_fold(bench, detector, fold, derive_seed(bench.seed, index), device, report)
        found[fold.name] = _read(path)
    return found


def _run_fold(bench: Bench, name: str, fold: Fold, seed: int, device: torch.device, report: Report) -> None:
    done = _train(bench, name, fold, seed, device, report)
    detector = done.detector
    tests = {generator: predict(detector, images) for generator, images in bench.validation.items()}
    own = join([bench.validation[generator] for generator in fold.train])
    degraded = {kind: predict(detector, own, change=change) for kind, change in DEGRADATIONS.items()}
    degraded = {UNCHANGED: predict(detector, own), **degraded}
    logits = FoldLogits(tests, degraded, done.loss, done.seconds)
    _require_finite(f"{name} on {fold.name}", logits)
    temperature = calibrate(tests, bench.validation, fold.train)
    save_checkpoint(bench.weights_of(name, fold.name), detector, _describe(bench, name, fold, temperature))
    _write(bench.logits_of(name, fold.name), logits)


def _describe(bench: Bench, name: str, fold: Fold, temperature: float) -> CheckpointInfo:
    data = bench.data
    return CheckpointInfo(
        name,
        data.image_size,
        tuple(dict.fromkeys((*bench.seen, *fold.train))),
        data.format_alignment,
        bench.simulated or bench.simulated_base,
        data.crop,
        data.real_size,
        temperature,
        fold.train,
    )


def _train(bench: Bench, name: str, fold: Fold, seed: int, device: torch.device, report: Report) -> Trained:
    training, images = bench.training_of(name), join([bench.training_sets[g] for g in fold.train])

    def told(epoch: int, loss: float) -> None:
        report(f"{name} on {fold.name}", epoch, training.epochs, loss)

    return train_detector(name, images, training, base=bench.base, seed=seed, device=device, report=told)


def _require_finite(what: str, logits: FoldLogits) -> None:
    for values in (*logits.tests.values(), *logits.degraded.values()):
        if not np.isfinite(values).all():
            raise FloatingPointError(f"{what} gives logits that are not finite")


def _write(path: Path, logits: FoldLogits) -> None:
    """Write atomically: a file that is there is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {f"tests/{name}": values for name, values in logits.tests.items()}
    arrays |= {f"degraded/{name}": values for name, values in logits.degraded.items()}
    facts = json.dumps({"loss": logits.loss, "seconds": logits.seconds})
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".partial-") as folder:
        partial = Path(folder) / path.name
        np.savez_compressed(partial, facts=np.array(facts), **arrays)  # type: ignore[arg-type]
        partial.rename(path)


def _read(path: Path) -> FoldLogits:
    with np.load(path) as file:
        facts = json.loads(str(file["facts"]))
        groups: dict[str, Logits] = {"tests": {}, "degraded": {}}
        for key in file.files:
            group, _, name = key.partition("/")
            if name:
                groups[group][name] = file[key]
    return FoldLogits(groups["tests"], groups["degraded"], facts["loss"], facts["seconds"])
