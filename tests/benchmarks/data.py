"""Images per second out of the cache of decoded images, beside Pillow and torchvision on the same images.

python -m tests.benchmarks.data [--out FILE] [--images 512] [--repeats 15] [--workers 0,2]
                                 [--remark TEXT]

Prints JSON to stdout and a table to stderr. The images are 256 px files that are made for the purpose, JPEG
of quality 96 and PNG; every contender gives random crops of 224 px in batches of 64, in one thread unless its
name tells of workers. The contenders take turns, so that a busy moment hits them all; ratios are medians of
the ratios within a round. What is read comes from memory, not from the disk: all files were read just before.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch
from PIL import Image
from PIL import features as pillow_features

from genimage_core.data.batches import ImageSet
from genimage_core.data.decoding import usable_cores
from genimage_core.data.images import load_images
from genimage_core.data.layout import find_layout
from genimage_core.data.scenes import draw_scene, shoot
from genimage_core.settings import DataSettings
from genimage_core.training import read_batch
from tests.benchmarks.augment import at_least, describe, whole_numbers
from tests.benchmarks.taking_turns import Contender, Times, clock_for, ratio, rounded, take_turns

STORED, SIZE, BATCH = 256, 224, 64
GOAL = 8000.0  # images per second and core
CPU = torch.device("cpu")


def write_files(folder: Path, count: int) -> None:
    """Write `count` pictures as JPEG (`nature`) and as PNG (`ai`), in GenImage's layout."""
    rng = np.random.default_rng(0)
    pictures = [shoot(draw_scene(rng, STORED, {}, 0.0), rng) for _ in range(16)]
    for name in ("train/nature", "train/ai"):
        (folder / name).mkdir(parents=True)
    for number in range(count):
        shift = (int(rng.integers(STORED)), int(rng.integers(STORED)))
        pixels = np.roll(pictures[number % len(pictures)], shift, (0, 1))
        image = Image.fromarray((pixels * 255).round().astype(np.uint8))
        image.save(folder / "train" / "nature" / f"{number:05d}.JPEG", quality=96)
        image.save(folder / "train" / "ai" / f"{number:05d}.PNG")


def from_cache(data: ImageSet, *, reuse: bool) -> Callable[[], object]:
    """Every image once, in random order, as uint8."""
    rng = np.random.default_rng(1)
    buffer = np.empty((BATCH, SIZE, SIZE, 3), dtype=np.uint8) if reuse else None

    def read() -> None:
        order = rng.permutation(len(data.labels))
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            offsets = rng.integers(0, data.margin + 1, (len(chosen), 2))
            data.take(chosen, None if buffer is None else buffer[: len(chosen)], offsets)

    return read


def as_training_does(data: ImageSet) -> Callable[[], object]:
    """Every image once, in random order, as float32 in [0, 1]."""
    generator = torch.Generator().manual_seed(1)

    def read() -> None:
        for chosen in torch.randperm(len(data.labels), generator=generator).split(BATCH):
            offsets = torch.randint(data.margin + 1, (len(chosen), 2), generator=generator)
            read_batch(data, chosen, CPU, offsets)

    return read


def from_files(paths: list[Path]) -> Callable[[], object]:
    """Decode and crop, in random order, into batches of uint8."""
    rng = np.random.default_rng(1)
    buffer = np.empty((BATCH, SIZE, SIZE, 3), dtype=np.uint8)

    def read() -> None:
        for place, index in enumerate(rng.permutation(len(paths))):
            top, left = rng.integers(0, STORED - SIZE + 1, 2)
            with Image.open(paths[index]) as file:
                pixels = np.asarray(file.convert("RGB"))
            buffer[place % BATCH] = pixels[top : top + SIZE, left : left + SIZE]

    return read


def from_torchvision(folder: Path, workers: int) -> Callable[[], object]:
    """ImageFolder and DataLoader with a random crop, as uint8; workers stay between rounds."""
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    data = ImageFolder(str(folder), v2.Compose([v2.PILToTensor(), v2.RandomCrop(SIZE)]))
    loader = DataLoader(
        data, batch_size=BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0
    )

    def read() -> None:
        for _ in loader:
            pass

    return read


@contextmanager
def prepared(count: int) -> Iterator[tuple[Path, ImageSet, float]]:
    """Files, the same images decoded, and how many were decoded per second by all cores."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "files"
        write_files(folder, count)
        settings = DataSettings(SIZE, count, 1, "none", crop="random", margin=STORED - SIZE)
        started = time.perf_counter()
        data = load_images(find_layout(folder), "files", "train", settings, 0, Path(name) / "cache")
        yield folder, data, len(data.labels) / (time.perf_counter() - started)
        shutil.rmtree(folder)


def contenders(folder: Path, data: ImageSet, workers: list[int]) -> dict[str, Contender]:
    """Everything that is compared; each call of one reads as many images as it says."""
    files = {label: sorted((folder / "train" / label).iterdir()) for label in ("nature", "ai")}
    reads = {
        "cache": (from_cache(data, reuse=True), 2),
        "cache_new_memory": (from_cache(data, reuse=False), 2),
        "cache_float_batch": (as_training_does(data), 2),
        "pillow_jpeg96": (from_files(files["nature"]), 1),
        "pillow_png": (from_files(files["ai"]), 1),
    }
    reads |= {f"torchvision_{n}_workers": (from_torchvision(folder / "train", n), 2) for n in workers}
    return {name: Contender(read, share * len(files["ai"])) for name, (read, share) in reads.items()}


def summary(times: Mapping[str, Times]) -> dict[str, Any]:
    """Images per second: median and quartiles, and how many times faster the cache is."""
    table = {}
    for name, row in times.items():
        cells = row.summary()
        speeds = {"median": cells["median_ms"], "q1": cells["q3_ms"], "q3": cells["q1_ms"]}
        table[name] = {key: rounded(1e3 / value) for key, value in speeds.items()}
        table[name]["cache_is_faster_by"] = ratio(row, times["cache"])
    return table


def machine() -> dict[str, object]:
    """Machine and versions."""
    versions = {"pillow": PIL.__version__, "libjpeg_turbo": pillow_features.version("libjpeg_turbo")}
    return {**describe(CPU), **versions}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="also write the JSON here")
    parser.add_argument("--images", default=512, type=int, help="files per format (512)")
    parser.add_argument("--repeats", default=15, type=int)
    parser.add_argument("--workers", default="0,2", type=whole_numbers, help="of torchvision (0,2)")
    parser.add_argument("--remark", help="anything to write down with the result")
    arguments = parser.parse_args()
    if arguments.repeats < 2 or arguments.images < BATCH:
        parser.error(f"--repeats must be at least 2, and --images at least {BATCH}")
    return arguments


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(1)
    record: dict[str, Any] = {
        "benchmark": "data",
        "command": " ".join(["python -m tests.benchmarks.data", *sys.argv[1:]]),
        "machine": machine(),
        "remark": arguments.remark,
        "images": f"{arguments.images} JPEG and {arguments.images} PNG of {STORED} px, crops of {SIZE} px",
        "batch": BATCH,
        "repeats": arguments.repeats,
        "unit": "images per second",
    }
    with prepared(arguments.images) as (folder, data, decoded_per_second):
        times = take_turns(contenders(folder, data, arguments.workers), clock_for(CPU), arguments.repeats)
    record["contenders"] = summary(times)
    record["building"] = {"images_per_second": rounded(decoded_per_second), "threads": usable_cores()}
    record["reached"] = {"cache": at_least(record["contenders"]["cache"]["median"], GOAL)}
    for name, row in record["contenders"].items():
        print(f"{name:<24}" + " ".join(f"{value:10,.0f}" for value in row.values()), file=sys.stderr)
    text = json.dumps(record, indent=2)
    print(text)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
