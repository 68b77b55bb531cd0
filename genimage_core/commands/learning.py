"""What the commands that train detectors share: defaults, and what is refused before any work."""

import argparse
from pathlib import Path
from typing import Any

from genimage_core.data.mini import MiniSettings
from genimage_core.detectors.catalogue import check_base, check_detector, find_detector
from genimage_core.detectors.info import read_info, require_fit
from genimage_core.settings import TrainingSettings, require

OVERRIDES = ("epochs", "batch_size", "learning_rate", "weight_decay")
REAL: dict[str, Any] = {"detector": "swin_t", "base": "imagenet", "image_size": 224}
REAL |= {"train_per_class": 2000, "val_per_class": 500}
# On the embedded data set: what its card was measured with.
EMBEDDED: dict[str, Any] = {
    "detector": "swin_nano",
    "base": "scratch",
    "image_size": MiniSettings.image_size,
    "train_per_class": MiniSettings.train_per_class,
    "val_per_class": MiniSettings.val_per_class,
}
# Likewise; mirrored, the imprints of its decoders would be others.
EMBEDDED_TRAINING = {"epochs": 6, "batch_size": 32, "learning_rate": 1e-3, "clip_norm": 1.0, "flip": False}


def add_overrides(parser: argparse.ArgumentParser) -> None:
    """Declare what stands over the training of a detector's authors."""
    for name in OVERRIDES:
        kind = int if name in ("epochs", "batch_size") else float
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=kind, metavar="X", help="instead of the detector's own"
        )


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Declare which images are left out, and how many may be."""
    parser.add_argument(
        "--real-size", metavar="A,B", help="only reals whose sides are within, in pixels: data.real_size"
    )
    add_bad_share(parser)


def add_bad_share(parser: argparse.ArgumentParser) -> None:
    """Declare how much of a class may be unreadable."""
    parser.add_argument(
        "--max-bad-share",
        type=float,
        default=0.01,
        metavar="X",
        help="share of a class that may be unreadable: data.max_bad_share (0.01)",
    )


def read_sides(text: str | None) -> tuple[int, int] | None:
    """Read `--real-size`.

    Raises:
        ValueError: If it is no pair of whole numbers.
    """
    if text is None:
        return None
    words = [word.strip() for word in text.split(",")]
    pair = len(words) == 2 and all(word.isdecimal() for word in words)
    require(pair, "--real-size", text, "two whole numbers of pixels, like 450,550")
    return int(words[0]), int(words[1])


def training_of(detector: str, arguments: argparse.Namespace, *, embedded: bool) -> TrainingSettings:
    """Return the training of a detector's authors under what was asked for."""
    asked = {key: value for key in OVERRIDES if (value := getattr(arguments, key)) is not None}
    usual = EMBEDDED_TRAINING if embedded else {}
    return TrainingSettings(**{**find_detector(detector).training, **usual, **asked})


def fill_in(arguments: argparse.Namespace, *, embedded: bool) -> None:
    """Give the arguments that were declared and not given the values usual for the data."""
    for key, value in (EMBEDDED if embedded else REAL).items():
        if getattr(arguments, key, value) is None:
            setattr(arguments, key, value)


def check_start(name: str, base: str, image_size: int, freeze_depth: int = 0) -> None:
    """Refuse a detector, size or base that cannot be trained, before anything is read or made.

    Raises:
        ValueError: With what is allowed.
    """
    check_detector(name, image_size, freeze_depth)
    check_base(name, base)
    if base == "imagenet":
        from genimage_core.detectors.pretrained import ensure_imagenet_weights

        ensure_imagenet_weights(name)
    elif base != "scratch":
        require_fit(Path(base.partition(":")[2]), name, image_size)


def seen_by_base(base: str) -> tuple[str, ...]:
    """Return the generators that the weights of a base were trained on."""
    kind, _, path = base.partition(":")
    return read_info(Path(path)).generators if kind == "checkpoint" else ()


def is_simulated_base(base: str) -> bool:
    """Whether the weights of a base were trained on simulated images."""
    kind, _, path = base.partition(":")
    return kind == "checkpoint" and read_info(Path(path)).simulated
