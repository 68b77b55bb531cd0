"""`python -m genimage_core predict CHECKPOINT… PATH…`: real or generated, image by image."""

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from rich.console import Console

from genimage_core.commands.files import WEIGHTS, members_of, printable
from genimage_core.commands.predict_print import FORMATS, Write, describe, writer
from genimage_core.data.walk import find_images

if TYPE_CHECKING:
    from genimage_core.prediction import Prediction


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.set_defaults(run=run)
    parser.description = (
        f"Tells of images how probably they are generated. CHECKPOINT is a {WEIGHTS} file, several of them, "
        "or a folder that holds them, like best/ of a run; several are one detector, their mean. All that "
        "follows is PATH: files, or folders with all that lies in them. Exit code: 0 all scored, 1 some could"
        " not be, 2 wrong call."
    )
    parser.add_argument(
        "checkpoint", type=Path, metavar="CHECKPOINT", help=f"{WEIGHTS} file, or folder of them"
    )
    parser.add_argument(
        "paths",
        type=Path,
        nargs="+",
        metavar="PATH",
        help=f"more {WEIGHTS} files first, then what to score",
    )
    parser.add_argument(
        "--format", choices=FORMATS, help="(table on a terminal, csv into a file called so, else jsonl)"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="file to write (standard output)")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Score every image and write a line for each, also for those that cannot be scored.

    Returns:
        The exit code: 0 if all were scored, 1 if some were not.

    Raises:
        ValueError: If the call is wrong: no checkpoint, none that go together, nothing to score.
    """
    checkpoints, paths = split_paths(arguments.checkpoint, arguments.paths)
    import torch

    from genimage_core.detectors.ensemble import describe_ensemble, load_ensemble, read_temperatures
    from genimage_core.prediction import predict_files

    info, device = describe_ensemble(checkpoints), "cuda" if torch.cuda.is_available() else "cpu"
    detector = load_ensemble(checkpoints).to(device)
    for line in describe(info, read_temperatures(checkpoints), len(checkpoints), device):
        print(printable(line), file=sys.stderr)
    with _opened(arguments.out) as file:
        kind = arguments.format or _format_for(arguments.out, file)
        try:
            predictions = predict_files(find_images(paths), detector, info)
            scored, failed = _write(predictions, writer(kind, file), file)
        except BrokenPipeError:  # its reader has read enough, like `head`
            _drop(file)
            return 0
    where = f": {arguments.out}" if arguments.out else ""
    print(f"{scored} images scored, {failed} not{where}", file=sys.stderr)
    return 1 if failed else 0


def split_paths(first: Path, others: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Tell checkpoints, which come first, from what is to be scored.

    Args:
        first: A checkpoint whatever it is called, or a folder of checkpoints.
        others: Further checkpoints as long as they are called `.safetensors`, then the rest.

    Raises:
        ValueError: If the folder holds no checkpoint, a checkpoint comes late, or nothing is to be scored.
    """
    count = next((i for i, path in enumerate(others) if path.suffix != WEIGHTS), len(others))
    checkpoints, paths = [*members_of(first), *others[:count]], list(others[count:])
    if not paths:
        raise ValueError("PATH is missing: name files or folders of images after the checkpoints")
    late = [path for path in paths if path.suffix == WEIGHTS]
    if late:
        raise ValueError(f"{late[0]} is a checkpoint; name it before what is to be scored, here {paths[0]}")
    return checkpoints, paths


def _opened(out: Path | None) -> "nullcontext[TextIO] | TextIO":
    return out.open("w", encoding="utf-8", newline="") if out else nullcontext(sys.stdout)


def _format_for(out: Path | None, file: TextIO) -> str:
    if out is not None:
        return "csv" if out.suffix.lower() == ".csv" else "jsonl"
    return "table" if file.isatty() else "jsonl"


def _write(predictions: "Iterable[Prediction]", write: Write, file: TextIO) -> tuple[int, int]:
    """Write all rows, each at once; returns how many images were scored and how many were not."""
    counts = [0, 0]
    for prediction in predictions:
        counts[bool(prediction.error)] += 1
        write(prediction)
        file.flush()
    return counts[0], counts[1]


def _drop(file: TextIO) -> None:
    """Let what is still to be written go nowhere: Python would try once more at its end, and complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, file.fileno())
    os.close(nowhere)
