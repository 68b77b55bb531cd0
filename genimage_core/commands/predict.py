"""`python -m genimage_core predict CHECKPOINT… --images PATH…`: real or generated, image by image, as CSV."""

import argparse
import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from genimage_core.data.alignment import QUALITY
from genimage_core.data.batches import ImageSet
from genimage_core.data.layout import EXTENSIONS
from genimage_core.data.pixels import UnreadableImage, decode
from genimage_core.detectors.info import CheckpointInfo

if TYPE_CHECKING:
    from torch import nn

AT_ONCE = 256  # images that are decoded before they are scored
COLUMNS = ("path", "logit", "verdict", "error")

Row = tuple[str, str, str, str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.set_defaults(run=run)
    parser.add_argument(
        "checkpoints", type=Path, nargs="+", metavar="CHECKPOINT", help="one, or several: their mean logit"
    )
    parser.add_argument(
        "--images", type=Path, nargs="+", required=True, metavar="PATH", help="files, or folders of them"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="CSV file to write (on the terminal)")


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Score every image and write a line for each, also for those that cannot be read."""
    from genimage_core.detectors.ensemble import describe_ensemble, load_ensemble

    paths = list(_find(arguments.images))
    info = describe_ensemble(arguments.checkpoints)
    rows = _score(paths, info, load_ensemble(arguments.checkpoints))
    if arguments.out is None:
        _write(rows, sys.stdout)
        return
    with arguments.out.open("w", encoding="utf-8", newline="") as file:
        unread = _write(rows, file)
    console.print(f"{len(paths)} images, {unread} of them not readable: {arguments.out}")


def _find(given: Sequence[Path]) -> Iterator[Path]:
    for path in given:
        if path.is_dir():
            found = sorted(p for p in path.rglob("*") if p.suffix.lower() in EXTENSIONS)
            if not found:
                raise ValueError(f"--images: {path} holds no image")
            yield from found
        elif path.exists():
            yield path
        else:
            raise ValueError(f"--images: {path} does not exist")


def _score(paths: Sequence[Path], info: CheckpointInfo, detector: "nn.Module") -> Iterator[Row]:
    import torch

    from genimage_core.evaluation import predict

    detector.to("cuda" if torch.cuda.is_available() else "cpu")
    for start in range(0, len(paths), AT_ONCE):
        decoded = {path: _decode(path, info) for path in paths[start : start + AT_ONCE]}
        pixels = [result for result in decoded.values() if not isinstance(result, str)]
        logits: Iterator[float] = iter(())
        if pixels:
            images = ImageSet((np.stack(pixels),), np.zeros(len(pixels), dtype=np.uint8), "")
            logits = iter(predict(detector, images).tolist())
        for path, result in decoded.items():
            yield _row(path, result if isinstance(result, str) else next(logits))


def _decode(path: Path, info: CheckpointInfo) -> NDArray[np.uint8] | str:
    """Pixels as the detector saw them in training, or why there are none.

    Whether an image is fake is not known here, so it is re-encoded only where images of both classes were.
    """
    quality = QUALITY if info.format_alignment == "jpeg96_both" else None
    try:
        return decode(path, info.image_size, quality=quality, resize=info.crop == "resize")
    except UnreadableImage as error:
        return error.reason


def _row(path: Path, result: float | str) -> Row:
    if isinstance(result, str):
        return str(path), "", "", result
    return str(path), f"{result:.6g}", "fake" if result > 0 else "real", ""


def _write(rows: Iterator[Row], file: TextIO) -> int:
    """Write all rows; returns how many of the images could not be read."""
    writer, unread = csv.writer(file), 0
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow(row)
        unread += bool(row[-1])
    return unread
