"""PURE: what a run is told about data, detector and training, validated when it is constructed.

Nothing here imports torch, so that a command can refuse bad input at once.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

ALIGNMENTS = ("none", "jpeg96", "jpeg96_both", "match_quality")
CROPS = ("centre", "random", "resize")
BASES = "scratch, imagenet, generator:NAME or checkpoint:PATH"
MAX_FREEZE_DEPTH = 5
_RATES = (
    *("learning_rate", "weight_decay", "warmup", "clip_norm"),
    *("dropout", "drop_path", "layer_decay", "ema_decay"),
)
OPTIMIZERS = ("adamw", "adam", "sgd")


def require(condition: bool, field: str, value: object, allowed: str) -> None:
    """Raise `ValueError` naming the field, its value and what is allowed, unless `condition` holds."""
    if not condition:
        raise ValueError(f"{field} must be {allowed}, got {value!r}")


def require_whole(field: str, value: object) -> None:
    """Raise `ValueError` unless `value` is a whole number."""
    require(isinstance(value, int) and not isinstance(value, bool), field, value, "a whole number")


def require_number(field: str, value: object) -> None:
    """Raise `ValueError` unless `value` is a number."""
    require(isinstance(value, int | float) and not isinstance(value, bool), field, value, "a number")


@dataclass(frozen=True)
class DataSettings:
    """Which images are read and how.

    Attributes:
        image_size: Side of the square that the detector sees, in pixels.
        train_per_class: Training images per generator and class.
        val_per_class: Validation images per generator and class.
        format_alignment: What is done to files of both classes alike in training and evaluation. `none`;
            `jpeg96`: fakes are re-encoded as JPEG quality 96, reals untouched (Grommelt et al., "Fake or
            JPEG?", 2024); `jpeg96_both`: reals too; `match_quality`: fakes are re-encoded at qualities drawn
            from those of the reals of the same generator and split; as many as there are lossless reals
            stay as they are.
        root: Data root, `mini`, or None for what the command line or the environment names.
        layout: Mapping for a tree of the user's own (see `genimage_core.data.mapping`); a space file may
            name a YAML file instead.
        follow_links: Follow symbolic links that lead out of the root.
        crop: How the square is cut. `centre`: from the centre at native scale; a smaller image is continued
            by reflection, never enlarged. `random`: likewise, anywhere within `margin` in training, from the
            centre in evaluation. `resize`: the short side is brought to `image_size` first.
        margin: Pixels by which the squares that `random` crops are taken from are larger; even, so that the
            central crop is that of `centre`.
        real_size: Shortest and longest side that real images may have, in pixels; None allows any.
        max_bad_share: Share of the chosen images of a class that may be unreadable, 0 to 1; they are left
            out. 1 goes on as long as any is left.
    """

    image_size: int = 224
    train_per_class: int = 2000
    val_per_class: int = 500
    format_alignment: str = "jpeg96"
    root: str | None = None
    layout: dict[str, Any] | None = None
    follow_links: bool = False
    crop: str = "centre"
    margin: int = 32
    real_size: tuple[int, int] | None = None
    max_bad_share: float = 0.01

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        for field in ("image_size", "train_per_class", "val_per_class"):
            require_whole(field, getattr(self, field))
            require(getattr(self, field) >= 1, field, getattr(self, field), "at least 1")
        require(
            self.format_alignment in ALIGNMENTS,
            "format_alignment",
            self.format_alignment,
            f"one of {', '.join(ALIGNMENTS)}",
        )
        require(self.crop in CROPS, "crop", self.crop, f"one of {', '.join(CROPS)}")
        require_whole("margin", self.margin)
        require(self.margin >= 2 and self.margin % 2 == 0, "margin", self.margin, "even and at least 2")
        require_number("max_bad_share", self.max_bad_share)
        require(0 <= self.max_bad_share <= 1, "max_bad_share", self.max_bad_share, "within [0, 1]")
        self._check_real_size()

    def _check_real_size(self) -> None:
        if self.real_size is None:
            return
        allowed = "two whole numbers of pixels, the smaller first, or null"
        whole = len(self.real_size) == 2 and all(type(side) is int for side in self.real_size)
        require(whole and 1 <= self.real_size[0] <= self.real_size[1], "real_size", self.real_size, allowed)

    @property
    def stored_size(self) -> int:
        """Side of the squares in the cache of decoded images, in pixels."""
        return self.image_size + (self.margin if self.crop == "random" else 0)


@dataclass(frozen=True)
class TrainingSettings:
    """How one detector is trained: linear warm-up, then cosine decay to zero.

    What a space file does not say is as the detector's authors have it, see `detectors.catalogue`.

    Attributes:
        epochs: Passes over the training set.
        batch_size: Images per step.
        learning_rate: Peak of the schedule.
        optimizer: `adamw`; `adam`, with the decay in its gradient; or `sgd`, with momentum 0.9.
        weight_decay: Applied to weights of two and more dimensions.
        warmup: Share of all steps during which the rate rises linearly, 0 to 1.
        flip: Mirror every image left to right with probability one half.
        clip_norm: Greatest norm of a step's gradient; longer ones are shortened to it.
        dropout: Rate before the last layer, 0 to below 1, where the detector has one there.
        drop_path: Rate of stochastic depth, 0 to below 1, in the last block; it grows from the first.
        layer_decay: Factor, above 0 to 1, by which each part of a detector learns more slowly than the next;
            the head learns at the full rate (Howard and Ruder, "Universal Language Model Fine-tuning for Text
            Classification", 2018).
        ema_decay: Share, 0 to below 1, that a moving average of the weights keeps at every step; then the
            average is what is evaluated and kept. 0 for none.
        curriculum: Order in which a detector meets its training generators (see `curriculum`): `none`, all at
            once; `measured`, by the accuracy of its base; or names separated by commas, the easiest first.
        patience: Epochs without a better accuracy on a training generator that is held out of the training,
            after which it ends; the best epoch is kept. 0 for never, which holds none out.
    """

    epochs: int = 3
    batch_size: int = 64
    learning_rate: float = 1e-4
    weight_decay: float = 0.05
    warmup: float = 0.1
    flip: bool = True
    clip_norm: float = 5.0
    optimizer: str = "adamw"
    dropout: float = 0.0
    drop_path: float = 0.0
    layer_decay: float = 1.0
    ema_decay: float = 0.0
    curriculum: str = "none"
    patience: int = 0

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        for field in ("epochs", "batch_size", "patience"):
            require_whole(field, getattr(self, field))
        for field in _RATES:
            require_number(field, getattr(self, field))
        require(self.patience >= 0, "patience", self.patience, "0 or more")
        require(isinstance(self.curriculum, str), "curriculum", self.curriculum, "a word or names")
        require(isinstance(self.flip, bool), "flip", self.flip, "true or false")
        require(self.epochs >= 1, "epochs", self.epochs, "at least 1")
        require(self.batch_size >= 2, "batch_size", self.batch_size, "at least 2")
        require(0 < self.learning_rate <= 1, "learning_rate", self.learning_rate, "above 0 and at most 1")
        require(0 <= self.weight_decay <= 1, "weight_decay", self.weight_decay, "within [0, 1]")
        require(0 <= self.warmup <= 1, "warmup", self.warmup, "within [0, 1]")
        require(self.clip_norm > 0, "clip_norm", self.clip_norm, "above 0")
        require(self.optimizer in OPTIMIZERS, "optimizer", self.optimizer, f"one of {', '.join(OPTIMIZERS)}")
        require(0 < self.layer_decay <= 1, "layer_decay", self.layer_decay, "above 0 and at most 1")
        for field in ("dropout", "drop_path", "ema_decay"):
            require(0 <= getattr(self, field) < 1, field, getattr(self, field), "within 0 to below 1")


@dataclass(frozen=True)
class DetectorSettings:
    """Which network, from which weights, and how much of it is trained.

    Attributes:
        name: A detector of `genimage_core.detectors`.
        base: Weights to start from: scratch, imagenet, generator:NAME or checkpoint:PATH.
        freeze_depth: 0 trains everything; 1 to 5 freeze so many of the detector's parts, from the patch
            embedding or stem on; 5 leaves only the head.
    """

    name: str = "swin_t"
    base: str = "imagenet"
    freeze_depth: int = 0

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        kind, _, rest = self.base.partition(":")
        plain = self.base in ("scratch", "imagenet")
        require(plain or (kind in ("generator", "checkpoint") and rest != ""), "base", self.base, BASES)
        require_whole("freeze_depth", self.freeze_depth)
        require(
            0 <= self.freeze_depth <= MAX_FREEZE_DEPTH,
            "freeze_depth",
            self.freeze_depth,
            f"within 0 to {MAX_FREEZE_DEPTH}",
        )
        if self.base == "scratch" and self.freeze_depth > 0:
            raise ValueError(
                f"freeze_depth must be 0 when base is scratch, got {self.freeze_depth}: "
                "frozen random weights learn nothing; choose another base"
            )


def derive_seed(*numbers: int) -> int:
    """Mix non-negative numbers into one seed, so that neighbours give unrelated streams."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
