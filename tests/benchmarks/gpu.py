"""What a GPU can do, and what share of it this project reaches; with a small real study at 224 px.

python -m tests.benchmarks.gpu [--out FILE] [--device cuda] [--repeats 15] [--skip study]

Measures the device's copy bandwidth and matrix rate, inference and training of Swin-T at 224 px (as it is,
compiled, several batch sizes), the share of the bare training step that our loop reaches with images from the
cache, and the share of a step that the augmentation takes. The study trains Swin-T on four generators of the
embedded, SIMULATED data set at 224 px under several policies and seeds, and tests on the others. No Ray.
What fails leaves the text of its error in the record, and the rest goes on. Prints JSON to stdout.

On a CPU it runs with tiny sizes, to see that it works: --device cpu --detector swin_nano --size 32
--batches 2 --images 8 --seeds 1 --repeats 3.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from genimage_core.detectors.detector import build_detector
from genimage_core.device import autocast
from genimage_core.settings import TrainingSettings
from genimage_core.steps import Learner, take_step
from genimage_core.training import build_optimizer
from tests.benchmarks import gpu_study, step
from tests.benchmarks.augment import describe, whole_numbers
from tests.benchmarks.augment_cuda import against_training_step, copy_bandwidth, guarded
from tests.benchmarks.results import publish
from tests.benchmarks.taking_turns import Contender, event_clock, rounded, take_turns

COPIED_BYTES, MATRIX = 2**30, 8192
SMALL_BYTES, SMALL_MATRIX = 2**24, 256  # on a CPU


def main() -> None:
    """Measure and print."""
    arguments = parse_arguments()
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "device": partial(measure_device, arguments.device, arguments.repeats),
        "inference": partial(measure_inference, arguments),
        "training": partial(measure_training, arguments),
        "loop": partial(measure_loop, arguments),
        "augmentation": partial(
            against_training_step, arguments.batches[-1], arguments.size, arguments.device, arguments.repeats
        ),
        "study": partial(gpu_study.run, arguments),
    }
    result: dict[str, Any] = {"machine": describe(arguments.device)}
    for name, part in parts.items():
        if name not in arguments.skip.split(","):
            result[name] = guarded(part)
            if arguments.out:  # what there is, should the time be up
                arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    publish(result, arguments.out)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--device", default="cuda", type=torch.device)
    parser.add_argument("--detector", default="swin_t")
    parser.add_argument("--size", default=224, type=int)
    parser.add_argument("--batches", default="32,64,128", type=whole_numbers, help="batch sizes")
    parser.add_argument("--images", default=500, type=int, help="of each class, for the study")
    parser.add_argument("--seeds", default=3, type=int, help="of the study")
    parser.add_argument("--repeats", default=15, type=int)
    parser.add_argument("--skip", default="", help="parts to leave out, separated by commas")
    return parser.parse_args()


def measure_device(device: torch.device, repeats: int) -> dict[str, Any]:
    """Copy bandwidth, and the rate of a product of two matrices in bfloat16 and float32."""
    on_gpu = device.type == "cuda"
    count, side = (COPIED_BYTES, MATRIX) if on_gpu else (SMALL_BYTES, SMALL_MATRIX)
    rates = {}
    for kind in (torch.bfloat16, torch.float32):
        one, other = (torch.randn(side, side, dtype=kind, device=device) for _ in range(2))
        product = {"product": Contender(partial(torch.mm, one, other), 1)}
        seconds = take_turns(product, event_clock(device), repeats)["product"].summary()["median_ms"] / 1e3
        rates[str(kind).removeprefix("torch.")] = rounded(2 * side**3 / seconds / 1e12)
    bandwidth = copy_bandwidth(count, device, repeats)
    return {"copy_gigabytes_per_second": rounded(bandwidth / 1e9), "matrix_teraflops": rates}


def measure_inference(arguments: argparse.Namespace) -> dict[str, Any]:
    """Images per second in evaluation mode, as it is and compiled."""
    device, size = arguments.device, arguments.size
    detector = build_detector(arguments.detector, image_size=size).to(device).eval()
    compiled = torch.compile(detector)

    def forward(network: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor) -> None:
        with torch.inference_mode(), autocast(device):
            network(images)

    contenders = {}
    for batch in arguments.batches:
        images = torch.rand(batch, 3, size, size, device=device)
        contenders[f"eager, batch {batch}"] = Contender(partial(forward, detector, images), batch)
        contenders[f"compiled, batch {batch}"] = Contender(partial(forward, compiled, images), batch)
    return images_per_second(contenders, device, arguments.repeats)


def measure_training(arguments: argparse.Namespace) -> dict[str, Any]:
    """Images per second of the bare step, as it is and compiled."""
    device, size = arguments.device, arguments.size
    settings = TrainingSettings()
    contenders = {}
    for batch in arguments.batches:
        images = torch.rand(batch, 3, size, size, device=device)
        labels = (torch.arange(batch, device=device) % 2).float()
        for kind in ("eager", "compiled"):
            detector = build_detector(arguments.detector, image_size=size).to(device).train()
            if kind == "compiled":
                detector.compile()
            learner = Learner(detector, build_optimizer(detector, settings))
            call = partial(take_step, learner, images, labels, settings.clip_norm)
            contenders[f"{kind}, batch {batch}"] = Contender(call, batch)
    return images_per_second(contenders, device, arguments.repeats)


def images_per_second(contenders: dict[str, Contender], device: torch.device, repeats: int) -> dict[str, Any]:
    """Median rate of each contender."""
    times = take_turns(contenders, event_clock(device), repeats)
    return {name: rounded(1e3 / statistics.median(row.wall)) for name, row in times.items()}


def measure_loop(arguments: argparse.Namespace) -> dict[str, Any]:
    """Our loop beside the bare step, images from the cache included (see `step`)."""
    options = argparse.Namespace(
        device=arguments.device,
        size=arguments.size,
        batch=arguments.batches[-1],
        batches=8 if arguments.device.type == "cuda" else 2,
        repeats=arguments.repeats,
    )
    return step.measure(arguments.detector, options)


if __name__ == "__main__":
    main()
