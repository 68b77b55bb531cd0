"""The weights every trial starts from: what decides them. Making them is `base_training`'s work."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from genimage_core.data.recipe import digest
from genimage_core.detectors.info import CheckpointInfo
from genimage_core.settings import TrainingSettings

RECIPE_VERSION = 3  # raise it when training code changes what the same recipe gives
# Fields of `TrainingSettings` that the training of a base, on one generator to its end, leaves as they are.
BASE_LEAVES: Mapping[str, Any] = MappingProxyType({"ema_decay": 0.0, "patience": 0, "curriculum": "none"})


@dataclass(frozen=True)
class BaseRecipe:
    """Everything that decides the weights of a base trained on one generator.

    Attributes:
        detector: Name of the detector.
        image_size: Side of its input, in pixels.
        generator: Generator whose training images it learns.
        training: Epochs, batch size, schedule; no augmentation but flips.
        data: Fingerprint of the training images.
        seed: Seed of the first weights, the order and the flips.
        info: Written beside the weights.
    """

    detector: str
    image_size: int
    generator: str
    training: TrainingSettings
    data: str
    seed: int
    info: CheckpointInfo

    @property
    def fingerprint(self) -> str:
        """Hash of the recipe; equal recipes share one file."""
        return digest([RECIPE_VERSION, asdict(self)])

    def path_in(self, cache: Path) -> Path:
        """Where the weights are kept."""
        return cache / "bases" / f"{self.detector}-{self.generator}-{self.fingerprint}.safetensors"
