"""What a search on the whole of GenImage costs on 1, 8 and 64 GPUs, from what was measured here.

python -m tests.benchmarks.scale [--from reports/benchmarks] [--out reports/benchmarks/scale.md]

Reads the other benchmarks' JSON, writes a page. What could not be measured here is an assumption with a name
and a source; change it on the command line (`--train-rate`, `--epochs-share`).
"""

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, Template

IMAGES, VALIDATION = 2_681_167, 100_000  # Zhu et al., NeurIPS 2023: 1,331,167 real, 1,350,000 fake
FOLDS, TRIALS, EPOCHS = 8, 64, 3
FINALISTS, SEEDS = 4, 5  # three and the baseline
GPUS = (1, 8, 64)
STORED = 224 + 32  # pixels a side in the decoded cache: image and margin
GROWTH = {
    "images": "training images of each class (an epoch, two folds)",
    "folds": "folds, each tested on as many generators (an epoch)",
    "trials": "trials (CPU of the driver)",
    "workers": "workers side by side (a search of twelve trials that sleep)",
}
TEMPLATE = Path(__file__).with_name("scale.md.j2")
RATE = 649.0
RATE_SOURCE = (
    "timm's own benchmark, `swin_tiny_patch4_window7_224`, one RTX 3090, mixed precision, channels last "
    "(results/benchmark-train-amp-nhwc-pt112-cu113-rtx3090.csv in huggingface/pytorch-image-models)"
)
FORWARD = 3.0  # forward alone against forward, backward and step: the backward pass costs twice the forward


@dataclass(frozen=True)
class Measured:
    """What was measured here.

    Attributes:
        index_rate: Files a second that are looked at, two processes.
        decode_rate: Images a second that are decoded and stored, two cores.
        beyond_s: Seconds of a trial beyond its training.
        efficiency: Lowest share of the groups' time that trials side by side made use of.
        driver_s: CPU seconds of the driver a trial.
        growth: How seconds grow: what with, seconds by number, exponent.
    """

    index_rate: float
    decode_rate: float
    beyond_s: float
    efficiency: float
    driver_s: float
    growth: tuple[tuple[str, dict[str, float], float], ...]


@dataclass(frozen=True)
class Assumed:
    """What could not be.

    Attributes:
        rate: Images a second that one GPU trains Swin-T with at 224 pixels.
        share: Of all epochs that early stopping leaves.
    """

    rate: float
    share: float


def main() -> None:
    """Read, derive, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--from", dest="folder", type=Path, default=Path("reports/benchmarks"))
    parser.add_argument(
        "--train-rate", type=float, default=RATE, metavar="N", help=f"images a second: {RATE_SOURCE}"
    )
    parser.add_argument(
        "--epochs-share", type=float, metavar="F", help="default: as successive halving decides"
    )
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    share = halved_share(TRIALS, EPOCHS) if arguments.epochs_share is None else arguments.epochs_share
    page = write(read(arguments.folder), Assumed(arguments.train_rate, share))
    print(page)
    if arguments.out:
        arguments.out.write_text(page, encoding="utf-8")


def read(folder: Path) -> Measured:
    """Pick what counts out of the other benchmarks' files."""
    index, data, waiting, driver, cost = (
        json.loads((folder / f"{name}.json").read_text())
        for name in ("index_memory", "data", "waiting", "driver", "cost")
    )
    side_by_side: list[dict[str, Any]] = waiting["layouts"]
    return Measured(
        index_rate=index["files_per_second"],
        decode_rate=data["building"]["images_per_second"],
        beyond_s=max(layout["beyond_sleep_s_per_trial"] for layout in side_by_side),
        efficiency=min(layout["efficiency"] for layout in side_by_side if layout["groups"] > 1),
        driver_s=driver["driver_cpu_s_per_trial"],
        growth=tuple((title, cost[key]["seconds"], cost[key]["exponent"]) for key, title in GROWTH.items()),
    )


def halved_share(trials: int, epochs: int, factor: int = 3) -> float:
    """Share of all epochs that are trained if each rung (epochs 1, 3, 9, ...) keeps one trial in `factor`."""
    rungs = [factor**n for n in range(math.floor(math.log(epochs, factor)) + 1)]
    ends = [*rungs[1:], epochs]
    kept = (trials / factor ** (n + 1) for n in range(len(rungs)))
    trained = sum((end - rung) * left for rung, end, left in zip(rungs, ends, kept, strict=True))
    return (trials * rungs[0] + trained) / (trials * epochs)


def epoch_s(assumed: Assumed) -> float:
    """GPU seconds of an epoch of all folds: each training image once, each fold on all validation images."""
    return (IMAGES - VALIDATION) / assumed.rate + FOLDS * VALIDATION / (FORWARD * assumed.rate)


def wall_h(gpus: int, measured: Measured, assumed: Assumed, share: float, trials: int) -> float:
    """Hours of a search, a trial on each GPU; with fewer trials than GPUs their folds side by side.

    Trials come in whole rounds only where there is no early stopping.
    """
    per_trial = epoch_s(assumed) * EPOCHS * share + measured.beyond_s
    side_by_side = min(gpus, trials * FOLDS)
    return trials * per_trial / side_by_side / 3600


def write(measured: Measured, assumed: Assumed) -> str:
    """Put it on a page."""
    hours = [
        (
            gpus,
            wall_h(gpus, measured, assumed, 1.0, TRIALS),
            wall_h(gpus, measured, assumed, assumed.share, TRIALS),
            wall_h(gpus, measured, assumed, 1.0, FINALISTS * SEEDS),
        )
        for gpus in GPUS
    ]
    template = Template(TEMPLATE.read_text(encoding="utf-8"), undefined=StrictUndefined)
    return template.render(
        images=IMAGES,
        folds=FOLDS,
        trials=TRIALS,
        epochs=EPOCHS,
        finalists=FINALISTS,
        seeds=SEEDS,
        hours=hours,
        epoch_min=epoch_s(assumed) / 60,
        index_min=IMAGES / measured.index_rate / 60,
        decode_min=IMAGES / measured.decode_rate / 60,
        cache_gb=IMAGES * 3 * STORED**2 / 1e9,
        small=2 * 2000 * FOLDS / (IMAGES - VALIDATION),
        measured=measured,
        assumed=assumed,
        source=RATE_SOURCE,
        forward=FORWARD,
    )


if __name__ == "__main__":
    main()
