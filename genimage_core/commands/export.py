"""`python -m genimage_core export CHECKPOINT… --out FILE.onnx`: a detector as ONNX, compared with PyTorch."""

import argparse
import heapq
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from genimage_core.commands.files import MINI, members_of, printable, root_of
from genimage_core.commands.predict_print import describe
from genimage_core.data.mini_card import is_simulated
from genimage_core.data.walk import find_images
from genimage_core.detectors.info import CheckpointInfo
from genimage_core.settings import require

if TYPE_CHECKING:
    from torch import Tensor, nn

    from genimage_core.detectors.onnx_check import Agreement

IMAGES = 32
TOLERANCE = 1e-3
SUFFIX = ".onnx"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.set_defaults(run=run)
    parser.description = (
        "Writes a detector as ONNX: images in [0, 1] in, logit and probability out, as `predict` has them. "
        "CHECKPOINT is as for `predict`; several are one detector, their mean. The file is run with "
        "onnxruntime on the images of --data and kept only if PyTorch says the same. Needs the extra onnx."
    )
    parser.add_argument(
        "checkpoints", type=Path, nargs="+", metavar="CHECKPOINT", help="safetensors file, or folder of them"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.onnx", help="file to write")
    parser.add_argument(
        "--data", metavar="PATH", help="image, folder, or mini: what it is compared on (random pixels)"
    )
    parser.add_argument(
        "--images", type=int, default=IMAGES, metavar="N", help=f"how many, drawn at random ({IMAGES})"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the images (0)")
    parser.add_argument(
        "--tolerance",
        type=float,
        default=TOLERANCE,
        metavar="X",
        help=f"largest difference of a logit or probability that is accepted ({TOLERANCE})",
    )


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Write the file, compare it, and print how far it is from PyTorch.

    Raises:
        ValueError: If the call is wrong, a library is missing, or the detector cannot be exported.
        RuntimeError: If the file differs by more than the tolerance; it is not kept.
    """
    require(arguments.out.suffix == SUFFIX, "--out", str(arguments.out), f"a file called {SUFFIX}")
    require(arguments.images >= 1, "--images", arguments.images, "at least 1")
    require(arguments.seed >= 0, "--seed", arguments.seed, "0 or more")
    require(0 < arguments.tolerance <= 1, "--tolerance", arguments.tolerance, "above 0, at most 1")
    from genimage_core.detectors.ensemble import describe_ensemble, load_ensemble, read_temperatures
    from genimage_core.detectors.onnx_graph import require_libraries

    require_libraries()
    checkpoints = [member for path in arguments.checkpoints for member in members_of(path)]
    info, temperatures = describe_ensemble(checkpoints), read_temperatures(checkpoints)
    images, source = _choose_images(arguments, info, console)
    for line in describe(info, temperatures, len(checkpoints), "cpu"):
        console.print(line)
    agreement = _write_checked(arguments, load_ensemble(checkpoints), info, temperatures, images)
    console.print(
        f"{agreement.images} {source}, each alone and all together: logits of onnxruntime and PyTorch differ "
        f"by at most {agreement.logit:.2g}, probabilities by {agreement.probability:.2g}"
    )
    console.print(f"{arguments.out}: {arguments.out.stat().st_size / 1e6:,.1f} MB")


def _write_checked(
    arguments: argparse.Namespace,
    detector: "nn.Module",
    info: CheckpointInfo,
    temperatures: tuple[float, ...] | None,
    images: "Tensor",
) -> "Agreement":
    """Write the file, which takes its place, and that of an older one, only when it was found right."""
    from genimage_core.detectors.onnx_check import compare
    from genimage_core.detectors.onnx_graph import write_onnx

    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.out.parent, prefix=".partial-") as folder:
        partial = Path(folder) / arguments.out.name
        write_onnx(partial, detector, info, temperatures)
        agreement = compare(partial, detector, images)
        if not agreement.within(arguments.tolerance):
            raise RuntimeError(
                f"the file is not kept: its logits differ from PyTorch's by up to {agreement.logit:.2g}, "
                f"its probabilities by {agreement.probability:.2g}; --tolerance is {arguments.tolerance:g}"
            )
        partial.replace(arguments.out)
    return agreement


def _choose_images(
    arguments: argparse.Namespace, info: CheckpointInfo, console: Console
) -> "tuple[Tensor, str]":
    """Return the images for the comparison, (B, 3, S, S) in [0, 1], and what they are."""
    import torch

    from genimage_core.training import to_batch

    rng = np.random.default_rng(arguments.seed)
    if arguments.data is None:
        shape = (arguments.images, info.image_size, info.image_size, 3)
        pixels, source = rng.integers(0, 256, shape, dtype=np.uint8), "images of random pixels, not of --data"
    else:
        root = root_of(arguments.data, console)
        simulated = "simulated " if arguments.data == MINI or is_simulated(root) else ""
        pixels, source = _read(root, arguments.images, info, rng), f"{simulated}images of {arguments.data}"
    return to_batch(pixels, torch.device("cpu")), source


def _read(root: Path, count: int, info: CheckpointInfo, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw files and read them as `predict` does; tells what cannot be read.

    Raises:
        ValueError: If nothing can be read.
    """
    from genimage_core.prediction import read_pixels

    drawn = heapq.nsmallest(count, find_images([root]), key=lambda _: rng.random())
    read = [(found, read_pixels(info, found)) for found in drawn]
    for (path, _), pixels in read:
        if isinstance(pixels, str):
            print(printable(f"left out: {path}: {pixels}"), file=sys.stderr)
    kept = [pixels for _, pixels in read if not isinstance(pixels, str)]
    require(len(kept) > 0, "images to compare on", len(kept), f"at least 1; none could be read in {root}")
    return np.stack(kept)
