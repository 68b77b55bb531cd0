"""One detector on its way: what it learns from in an epoch, and which of its epochs is kept."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from typing import Any, cast

from genimage_core.curriculum import learnt_at
from genimage_core.data.batches import ImageSet, join
from genimage_core.detectors.detector import Detector
from genimage_core.evaluation import calibrate, predict, score_all
from genimage_core.frozen_features import FrozenFeatures
from genimage_core.metrics import Logits, Scores
from genimage_core.policy import FrequencyPolicy
from genimage_core.protocol import Fold
from genimage_core.settings import TrainingSettings
from genimage_core.steps import Learner
from genimage_core.training import EpochStats, build_average, build_optimizer, train_epoch

ByGenerator = dict[str, Scores]


@dataclass
class Best:
    """The best epoch so far by the accuracy on the generator that is held out.

    Attributes:
        detector: Its weights.
        scores: What it scored.
        age: Epochs since then.
    """

    detector: Detector
    scores: ByGenerator
    age: int = 0


@dataclass
class FoldTraining:
    """A detector on its way.

    Attributes:
        fold: What it is trained on.
        seed: Of the fold.
        policy: Augmentation of its training images.
        training: Epochs, schedule, and what else decides how it learns.
        images: Training images by generator, in the order in which they are learnt.
        held_out: Training generator that decides when to end; nothing of its family is learnt.
        detector: Changed in place.
        learner: The detector with its optimiser, and its moving average, if there is one.
        best: With `held_out`, the epoch that is kept.
        loss: Of the last epoch.
        temperature: Of what is kept, fitted on the generators of `images`; None before the first epoch.
        logits: What it says of the validation images, by generator.
    """

    fold: Fold
    seed: int
    policy: FrequencyPolicy
    training: TrainingSettings
    images: Mapping[str, ImageSet]
    held_out: str | None
    detector: Detector
    learner: Learner = field(init=False)
    best: Best | None = None
    loss: float = 0.0
    temperature: float | None = None
    logits: Logits = field(default_factory=dict)

    def __post_init__(self) -> None:
        detector, training = self.detector, self.training
        self.learner = Learner(
            detector, build_optimizer(detector, training), build_average(detector, training)
        )

    @property
    def current(self) -> Detector:
        """What the last epoch gave: the average, where there is one."""
        average = self.learner.average
        return self.detector if average is None else cast(Detector, average.module)

    @property
    def kept(self) -> Detector:
        """What is saved: the best epoch, where one is looked for."""
        return self.current if self.best is None else self.best.detector

    @property
    def ended(self) -> bool:
        """Whether the held-out generator has not got better for too long."""
        return self.best is not None and self.best.age >= self.training.patience

    def train(self, epoch: int) -> EpochStats:
        """Train for one epoch, counted from 0, on the generators that are learnt in it."""
        training = self.training
        learnt = learnt_at(tuple(self.images), epoch, training.epochs)
        if training.curriculum == "none":
            learnt = tuple(self.images)
        stats = train_epoch(
            self.learner,
            join([self.images[name] for name in learnt]),
            self.policy,
            training,
            epoch=epoch,
            seed=self.seed,
        )
        self.loss = stats.loss
        return stats

    def evaluate(self, sets: Mapping[str, ImageSet], frozen: FrozenFeatures | None = None) -> ByGenerator:
        """Score the current weights on validation images, and take note; the scores of what is kept.

        Args:
            sets: By generator; those that the detector learns from must be there, for its temperature.
            frozen: Where features of the frozen parts are kept.
        """
        logits = {name: predict(self.current, data, frozen=frozen) for name, data in sets.items()}
        scores, held_out, best = score_all(logits, sets), self.held_out, self.best
        if held_out and best and scores[held_out].accuracy <= best.scores[held_out].accuracy:
            best.age += 1
            return best.scores
        self.logits, self.temperature = logits, calibrate(logits, sets, self.images)
        if held_out:
            self.best = Best(deepcopy(self.current), scores)
        return scores

    def state(self) -> dict[str, Any]:
        """Everything that goes on, but for the weights that are kept and their logits."""
        learner = self.learner
        state: dict[str, Any] = {
            "optimizer": learner.optimizer.state_dict(),
            "loss": self.loss,
            "micro_batch": learner.micro_batch,
            "temperature": self.temperature,
        }
        if self.kept is not self.detector:
            state["detector"] = self.detector.state_dict()
        if learner.average is not None:
            state["average"] = learner.average.state_dict()
        if self.best is not None:
            scores = {name: asdict(score) for name, score in self.best.scores.items()}
            state["best"] = {"scores": scores, "age": self.best.age}
        return state

    def restore(self, state: Mapping[str, Any], kept: Detector, logits: Logits) -> None:
        """Go on from `state`, the weights that were kept and what these said."""
        self.logits = logits
        learner = self.learner
        learner.optimizer.load_state_dict(state["optimizer"])
        self.loss, learner.micro_batch = state["loss"], state.get("micro_batch")
        self.temperature = state.get("temperature")
        self.detector.load_state_dict(state.get("detector", kept.state_dict()))
        if learner.average is not None:
            learner.average.load_state_dict(state["average"])
        if "best" in state:
            scores = {name: Scores(**score) for name, score in state["best"]["scores"].items()}
            self.best = Best(kept, scores, state["best"]["age"])
