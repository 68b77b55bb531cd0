"""Arguments of the analyses that train detectors."""

import argparse
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console

from genimage_core.commands.analyse.shared import add_out
from genimage_core.commands.files import is_embedded
from genimage_core.commands.learning import (
    add_bad_share,
    add_overrides,
    check_start,
    fill_in,
    seen_by_base,
    training_of,
)
from genimage_core.detectors.catalogue import DETECTORS
from genimage_core.settings import ALIGNMENTS, CROPS, DataSettings, TrainingSettings, require

if TYPE_CHECKING:
    from genimage_core.analysis.learning import Learning


@dataclass(frozen=True)
class Asked:
    """How the detectors of an analysis are trained, checked.

    Attributes:
        detector: Name.
        base: Weights to start from.
        training: Epochs, schedule, optimiser.
        seen: Generators that the base was trained on.
        seeds: One detector for each.
    """

    detector: str
    base: str
    training: TrainingSettings
    seen: tuple[str, ...]
    seeds: tuple[int, ...]

    def learning(self) -> "Learning":
        """What the analyses themselves take; on the GPU, where there is one."""
        import torch

        from genimage_core.analysis.learning import Learning

        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return Learning(self.detector, self.base, self.training, device)


def add_training(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments that say how detectors are trained."""
    parser.add_argument("--detector", metavar="NAME", help=f"one of {', '.join(DETECTORS)} (swin_t)")
    parser.add_argument("--base", help="imagenet (default), scratch or checkpoint:PATH")
    parser.add_argument("--image-size", type=int, metavar="N", help="pixels (224)")
    parser.add_argument("--alignment", choices=ALIGNMENTS, default="none", help="format alignment (none)")
    parser.add_argument("--crop", choices=CROPS, default="centre", help="how images are cut (centre)")
    add_overrides(parser)
    parser.add_argument(
        "--seeds", type=int, default=3, metavar="N", help="detectors for each: weights, order, images (3)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="the first of the seeds (0)")
    add_bad_share(parser)
    add_out(parser)


def check(arguments: argparse.Namespace) -> Asked:
    """Fill in what was not given and refuse what cannot be trained, before anything is read or made."""
    require(arguments.seeds >= 1, "--seeds", arguments.seeds, "at least 1")
    require(arguments.seed >= 0, "--seed", arguments.seed, "at least 0")
    embedded = is_embedded(arguments)
    fill_in(arguments, embedded=embedded)
    check_start(arguments.detector, arguments.base, arguments.image_size)
    training = training_of(arguments.detector, arguments, embedded=embedded)
    seeds = tuple(range(arguments.seed, arguments.seed + arguments.seeds))
    return Asked(arguments.detector, arguments.base, training, seen_by_base(arguments.base), seeds)


def told(console: Console) -> Callable[[int, int], None]:
    """Return what is to be called with the detectors done and their number."""
    return lambda done, total: console.print(f"trained and tested {done} of {total} detectors")


def data_settings(arguments: argparse.Namespace, train_per_class: int, val_per_class: int) -> DataSettings:
    """Return how the images are read."""
    return DataSettings(
        image_size=arguments.image_size,
        train_per_class=train_per_class,
        val_per_class=val_per_class,
        format_alignment=arguments.alignment,
        crop=arguments.crop,
        follow_links=arguments.follow_links,
        max_bad_share=arguments.max_bad_share,
    )


def training_record(asked: Asked) -> dict[str, Any]:
    """Return how the detectors were trained, as JSON values."""
    return {
        "detector": asked.detector,
        "base": asked.base,
        "training": asdict(asked.training),
        "seeds": list(asked.seeds),
    }
