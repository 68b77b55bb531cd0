"""A training step in this project's loop, beside the model's bare step and a loop around timm's loader.

python -m tests.benchmarks.step [--out FILE] [--device cpu|cuda] [--threads 1] [--repeats 7]
                                [--detectors swin_t,resnet50,deit_s] [--size 224] [--batch 8] [--batches 2]

`bare` is forward, loss, backward, clipping and optimiser on random tensors that are on the device already.
`ours` is `train_epoch` on decoded images: gathering, flipping, the order and the seeds; `augmented` the same
with a full frequency policy. `timm` reads the same images from JPEG files through timm's `ImageDataset` and
`create_loader`, in the same process, and takes the same step with the optimiser of `create_optimizer_v2`. The
contenders take turns, so that a busy moment hits them all; ratios are medians of the ratios within a round,
those of CPU seconds hardly feel other work on the machine. Prints JSON to stdout.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image
from timm.data import ImageDataset, create_loader
from timm.optim import create_optimizer_v2
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_

from genimage_core.data.batches import ImageSet
from genimage_core.data.scenes import draw_scene, shoot
from genimage_core.detectors.detector import build_detector
from genimage_core.device import autocast
from genimage_core.policy import FrequencyPolicy
from genimage_core.settings import TrainingSettings
from genimage_core.steps import Learner, take_step
from genimage_core.training import build_optimizer, train_epoch
from tests.benchmarks.augment import at_least, describe, print_goals
from tests.benchmarks.augment_contenders import full_policy
from tests.benchmarks.results import publish
from tests.benchmarks.taking_turns import Contender, Times, clock_for, ratio, take_turns

GOAL = 0.95  # of the bare step's speed


def main() -> None:
    """Measure and print."""
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    names = arguments.detectors.split(",")
    detectors = {name: measure(name, arguments) for name in names}
    goals = {
        f"{name}: share of the bare step's speed": at_least(1 / row["over_bare"]["ours"], GOAL)
        for name, row in detectors.items()
    }
    options = f"--device {arguments.device} --threads {arguments.threads} --detectors {arguments.detectors}"
    sizes = f"--size {arguments.size} --batch {arguments.batch} --batches {arguments.batches}"
    result = {
        "command": f"python -m tests.benchmarks.step {options} {sizes} --repeats {arguments.repeats}",
        "machine": describe(arguments.device) | {"timm": timm.__version__},
        "detectors": detectors,
        "goals": goals,
    }
    publish(result, arguments.out)
    print_goals(goals)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--device", default="cpu", type=torch.device)
    parser.add_argument("--threads", default=1, type=int)
    parser.add_argument("--detectors", default="swin_t,resnet50,deit_s")
    parser.add_argument("--size", default=224, type=int)
    parser.add_argument("--batch", default=8, type=int)
    parser.add_argument("--batches", default=2, type=int, help="in one turn")
    parser.add_argument("--repeats", default=7, type=int)
    return parser.parse_args()


def measure(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Times of one detector by contender, and what each costs over the bare step."""
    count = arguments.batch * arguments.batches
    print(f"{name}, {count} images a turn", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        pixels = make_images(Path(folder), count, arguments.size)
        times = take_turns(
            contenders(name, pixels, Path(folder), arguments), clock_for(arguments.device), arguments.repeats
        )
    over = {kind: ratio(row, times["bare"]) for kind, row in times.items() if kind != "bare"}
    cpu = {kind: ratio(Times(row.cpu), Times(times["bare"].cpu)) for kind, row in times.items()}
    return {
        "contenders": {kind: row.summary() for kind, row in times.items()},
        "over_bare": over,
        "cpu_over_bare": {kind: value for kind, value in cpu.items() if kind != "bare"},
    }


def make_images(folder: Path, count: int, size: int) -> np.ndarray:
    """Draw pictures, write them as JPEG files in two classes, and return their pixels."""
    rng = np.random.default_rng(0)
    pictures = [shoot(draw_scene(rng, size, {}, 0.0), rng) for _ in range(count)]
    pixels = np.stack([(picture * 255).round().astype(np.uint8) for picture in pictures])
    for number, image in enumerate(pixels):
        path = folder / ("ai", "nature")[number % 2] / f"{number:04d}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image).save(path, quality=96)
    return pixels


def contenders(
    name: str, pixels: np.ndarray, folder: Path, arguments: argparse.Namespace
) -> dict[str, Contender]:
    """Each trains a detector of its own on as many images a call."""
    count, device, size = len(pixels), arguments.device, arguments.size
    settings = TrainingSettings(epochs=1000, batch_size=arguments.batch, learning_rate=1e-4)
    data = ImageSet((pixels,), (np.arange(count) % 2).astype(np.uint8), "drawn")

    def learner() -> Learner:
        detector = build_detector(name, image_size=size).to(device)
        return Learner(detector, build_optimizer(detector, settings))

    calls: dict[str, Callable[[], object]] = {
        "bare": bare(learner(), settings, size, arguments),
        "ours": own(learner(), data, FrequencyPolicy(), settings),
        "augmented": own(learner(), data, full_policy(), settings),
        "timm": with_timm(learner(), folder, settings, size, device),
    }
    return {kind: Contender(call, count) for kind, call in calls.items()}


def bare(
    learner: Learner, settings: TrainingSettings, size: int, arguments: argparse.Namespace
) -> Callable[[], object]:
    """The step alone."""
    images = torch.rand(arguments.batch, 3, size, size, device=arguments.device)
    labels = (torch.arange(arguments.batch, device=arguments.device) % 2).float()

    def call() -> None:
        learner.detector.train()
        for _ in range(arguments.batches):
            take_step(learner, images, labels, settings.clip_norm)

    return call


def own(
    learner: Learner, data: ImageSet, policy: FrequencyPolicy, settings: TrainingSettings
) -> Callable[[], object]:
    """An epoch of this project."""
    epochs = iter(range(settings.epochs))
    return lambda: train_epoch(learner, data, policy, settings, epoch=next(epochs), seed=0)


def with_timm(
    learner: Learner, folder: Path, settings: TrainingSettings, size: int, device: torch.device
) -> Callable[[], object]:
    """timm's loader and optimiser around the same network."""
    detector = learner.detector
    optimizer = create_optimizer_v2(
        detector, opt="adamw", lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    loader = create_loader(
        ImageDataset(str(folder)),
        input_size=(3, size, size),
        batch_size=settings.batch_size,
        is_training=True,
        use_prefetcher=device.type == "cuda",
        no_aug=True,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        num_workers=0,
        persistent_workers=False,
        device=device,
    )
    parameters = [parameter for parameter in detector.parameters() if parameter.requires_grad]

    def call() -> None:
        detector.train()
        for images, labels in loader:
            with autocast(device):
                logits = detector(images.to(device))
            wanted = labels.to(device).float()
            optimizer.zero_grad(set_to_none=True)
            functional.binary_cross_entropy_with_logits(logits.float(), wanted).backward()
            clip_grad_norm_(parameters, settings.clip_norm)
            optimizer.step()

    return call


if __name__ == "__main__":
    main()
