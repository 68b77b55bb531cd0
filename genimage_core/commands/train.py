"""`python -m genimage_core train --data ROOT --train-on A,B --out FILE`: one detector, without Ray."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from genimage_core.cache import cache_folder
from genimage_core.commands.files import add_data, is_embedded, open_layout, progress
from genimage_core.commands.learning import (
    EMBEDDED_TRAINING,
    add_limits,
    check_start,
    fill_in,
    is_simulated_base,
    read_sides,
    seen_by_base,
)
from genimage_core.curriculum import MEASURED, check_curriculum, easiest_first
from genimage_core.data.layout import Layout
from genimage_core.detectors.catalogue import DETECTORS, check_drop_path, find_detector
from genimage_core.detectors.info import CheckpointInfo
from genimage_core.policy import FrequencyPolicy
from genimage_core.protocol import Fold, hold_out
from genimage_core.settings import ALIGNMENTS, CROPS, DataSettings, TrainingSettings

if TYPE_CHECKING:
    from genimage_core.data.batches import ImageSet
    from genimage_core.fold_training import FoldTraining
    from genimage_core.metrics import Scores


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.set_defaults(run=run)
    add_data(parser)
    parser.add_argument("--train-on", required=True, metavar="A,B", help="generators to learn from")
    parser.add_argument("--detector", metavar="NAME", help=f"one of {', '.join(DETECTORS)} (swin_t)")
    parser.add_argument("--base", help="imagenet (default), scratch or checkpoint:PATH")
    parser.add_argument(
        "--freeze-depth", type=int, default=0, metavar="N", help="parts to freeze, 0 to 5 (0)"
    )
    parser.add_argument(
        "--training", nargs="*", default=[], metavar="KEY=VALUE", help=f"of {_names(TrainingSettings)}"
    )
    parser.add_argument(
        "--augment", nargs="*", default=[], metavar="KEY=VALUE", help=f"of {_names(FrequencyPolicy)}"
    )
    parser.add_argument("--image-size", type=int, metavar="N", help="pixels (224)")
    parser.add_argument("--train-per-class", type=int, metavar="N", help="images of each generator (2000)")
    parser.add_argument("--val-per-class", type=int, metavar="N", help="images of each generator (500)")
    parser.add_argument("--alignment", choices=ALIGNMENTS, default="none", help="format alignment (none)")
    parser.add_argument("--crop", choices=CROPS, default="centre", help="how images are cut (centre)")
    add_limits(parser)
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="weights, order, images (0)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="detector (.safetensors)")


def _names(settings: type) -> str:
    return ", ".join(field.name for field in fields(settings))


@dataclass(frozen=True)
class Wanted:
    """What is to be trained, checked.

    Attributes:
        name: Of the detector.
        base: Weights to start from.
        seen: Generators that the base was trained on.
        freeze_depth: Parts not to be trained.
        train: Training generators.
        training: Epochs, schedule, and what else decides how it learns.
        policy: Augmentation of the training images.
        data: How the images are read.
        seed: Decides weights, order, augmentation and the choice of images.
        simulated: Whether the images are the embedded data set's.
        simulated_base: Whether the base was trained on such images.
    """

    name: str
    base: str
    seen: tuple[str, ...]
    freeze_depth: int
    train: tuple[str, ...]
    training: TrainingSettings
    policy: FrequencyPolicy
    data: DataSettings
    seed: int
    simulated: bool
    simulated_base: bool


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Train, tell every epoch how well it does on each generator of the root, and keep the detector."""
    from genimage_core.detectors.checkpoint import save_checkpoint

    wanted = _check(arguments)
    layout = open_layout(arguments, console)
    train = layout.catalog.expand(wanted.train)
    layout.require(train)
    judge, learnt = hold_out(train, wanted.seen, layout.catalog, wanted.training.patience, wanted.seed)
    check_curriculum([train], train, wanted.training.curriculum, [wanted.base])
    names = sorted({place.generator for place in layout.places if place.split == "val"})
    validation = _load(layout, names, "val", wanted, console)
    running = _start(wanted, train, _load(layout, learnt, "train", wanted, console), validation, judge)
    if judge:
        console.print(f"{judge} decides when the training ends; nothing of its family is learnt")
    scores: Mapping[str, Scores] = {}
    for epoch in range(wanted.training.epochs):
        if running.ended:
            break
        loss = running.train(epoch).loss
        scores = running.evaluate(validation)
        told = "  ".join(f"{name} {score.accuracy:.3f}" for name, score in scores.items())
        console.print(f"epoch {epoch + 1}/{wanted.training.epochs}  loss {loss:.4f}  accuracy: {told}")
    save_checkpoint(arguments.out, running.kept, _info(wanted, train, running.temperature, learnt))
    simulated = " (SIMULATED images)" if wanted.simulated else ""
    console.print(f"detector {arguments.out}{simulated}")


def _check(arguments: argparse.Namespace) -> Wanted:
    """Refuse what cannot be trained, before anything is read or made."""
    fill_in(arguments, embedded=is_embedded(arguments))
    name, base, size = arguments.detector, arguments.base, arguments.image_size
    if arguments.out.is_dir():
        raise ValueError(f"--out must be a file, {arguments.out} is a folder")
    check_start(name, base, size, arguments.freeze_depth)
    if base == "scratch" and arguments.freeze_depth:
        raise ValueError(
            "--freeze-depth needs a base that is not scratch: frozen random weights learn nothing"
        )
    spec = find_detector(name)
    usual = EMBEDDED_TRAINING if is_embedded(arguments) else {}
    asked = _read(arguments.training, TrainingSettings)
    training = TrainingSettings(**{**spec.training, **usual, **asked})
    check_drop_path(name, training.drop_path)
    return Wanted(
        name=name,
        base=base,
        seen=seen_by_base(base),
        freeze_depth=arguments.freeze_depth,
        train=tuple(part.strip() for part in arguments.train_on.split(",")),
        training=training,
        policy=FrequencyPolicy(**{**spec.policy, **_read(arguments.augment, FrequencyPolicy)}),
        data=DataSettings(
            image_size=size,
            train_per_class=arguments.train_per_class,
            val_per_class=arguments.val_per_class,
            format_alignment=arguments.alignment,
            crop=arguments.crop,
            follow_links=arguments.follow_links,
            real_size=read_sides(arguments.real_size),
            max_bad_share=arguments.max_bad_share,
        ),
        seed=arguments.seed,
        simulated=is_embedded(arguments),
        simulated_base=is_simulated_base(base),
    )


def _read(pairs: Sequence[str], settings: type) -> dict[str, Any]:
    """Read `KEY=VALUE` words; a value is JSON, or else a word."""
    known, found = {field.name for field in fields(settings)}, {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or key not in known:
            raise ValueError(f"{pair!r} is not KEY=VALUE with one of {', '.join(sorted(known))}")
        try:
            found[key] = json.loads(value)
        except (ValueError, RecursionError):  # no JSON, or nested without end
            found[key] = value
    return found


def _load(
    layout: Layout, names: Sequence[str], split: str, wanted: Wanted, console: Console
) -> "dict[str, ImageSet]":
    from genimage_core.data.images import load_images

    sets = {}
    for name in names:
        with progress(console, f"decoding {name} {split}") as report:
            sets[name] = load_images(
                layout, name, split, wanted.data, wanted.seed, cache_folder(), report=report
            )
    return sets


def _start(
    wanted: Wanted,
    train: tuple[str, ...],
    images: "Mapping[str, ImageSet]",
    validation: "Mapping[str, ImageSet]",
    judge: str | None,
) -> "FoldTraining":
    import torch

    from genimage_core.detectors.detector import build_detector
    from genimage_core.evaluation import evaluate
    from genimage_core.fold_training import FoldTraining

    detector = build_detector(
        wanted.name,
        image_size=wanted.data.image_size,
        base=wanted.base,
        freeze_depth=wanted.freeze_depth,
        seed=wanted.seed,
        dropout=wanted.training.dropout,
        drop_path=wanted.training.drop_path,
    ).to("cuda" if torch.cuda.is_available() else "cpu")
    accuracy = {}
    if wanted.training.curriculum == MEASURED:
        scores = evaluate(detector, {name: validation[name] for name in images})
        accuracy = {name: score.accuracy for name, score in scores.items()}
    order = easiest_first(tuple(images), wanted.training.curriculum, accuracy)
    ordered = {name: images[name] for name in order}
    fold = Fold("+".join(train), train, (), ())
    return FoldTraining(fold, wanted.seed, wanted.policy, wanted.training, ordered, judge, detector)


def _info(
    wanted: Wanted, train: Sequence[str], temperature: float | None, learnt: Sequence[str]
) -> CheckpointInfo:
    data = wanted.data
    known = tuple(dict.fromkeys((*wanted.seen, *train)))
    return CheckpointInfo(
        wanted.name,
        data.image_size,
        known,
        data.format_alignment,
        wanted.simulated or wanted.simulated_base,
        data.crop,
        data.real_size,
        temperature,
        tuple(learnt),
    )
