"""Checkpoints of trials: one folder an epoch, there under its name only once all of it is on the disk."""

import json
import os
import shutil
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

CONTENTS = "contents.json"
RECORDS_BYTES = 4 * 2**20  # journal, study and TensorBoard of the trials that are under way
_CHUNK = 4 * 2**20
Contents = dict[str, int]  # file name -> CRC-32


def trial_name(number: int) -> str:
    """Name of a trial's folders."""
    return f"trial_{number:04d}"


def folder_of(run_dir: Path, number: int) -> Path:
    """Where the checkpoints of a trial are."""
    return run_dir / "checkpoints" / trial_name(number)


def partial_folder(folder: Path, epoch: int) -> Path:
    """Where an epoch is written before it is whole."""
    return folder / f"partial_{epoch}"


def secure(path: Path) -> Contents:
    """Wait until a file is on the disk, and sum it up."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return {path.name: _checksum(path)}


def seal(folder: Path, epoch: int, contents: Mapping[str, int]) -> Path:
    """Give a whole checkpoint its name, and drop those that nobody can need any more.

    The one before is kept: whoever goes on may not have heard of this one.

    Args:
        folder: The trial's.
        epoch: Epochs it has behind it.
        contents: Of all files that were written into `partial_folder`.
    """
    partial, whole = partial_folder(folder, epoch), folder / f"epoch_{epoch}"
    (partial / CONTENTS).write_text(json.dumps(dict(contents)), encoding="utf-8")
    secure(partial / CONTENTS)
    shutil.rmtree(whole, ignore_errors=True)  # of an attempt that was cut off after it had been sealed
    partial.rename(whole)
    for older, path in _epochs(folder):
        if older < epoch - 1:
            shutil.rmtree(path)
    return whole


def newest_whole(folder: Path, at_most: int) -> int:
    """Return the last epoch up to `at_most` whose checkpoint is as it was written; 0 if there is none."""
    epochs = sorted((epoch for epoch, _ in _epochs(folder) if epoch <= at_most), reverse=True)
    return next((epoch for epoch in epochs if is_whole(folder / f"epoch_{epoch}")), 0)


def room_for_more(run_dir: Path) -> bool:
    """Whether the disk holds two more checkpoints as large as the largest there is, and the records."""
    saved = (run_dir / "checkpoints").glob("*/epoch_*")
    largest = max((sum(file.stat().st_size for file in folder.iterdir()) for folder in saved), default=0)
    return shutil.disk_usage(run_dir).free >= 2 * largest + RECORDS_BYTES


def is_whole(checkpoint: Path) -> bool:
    """Whether every file of a checkpoint has the content that was written."""
    try:
        contents = json.loads((checkpoint / CONTENTS).read_text(encoding="utf-8"))
        return bool(contents) and all(_is_as_written(checkpoint, *said) for said in contents.items())
    except (OSError, ValueError, AttributeError, RecursionError):
        return False


def _is_as_written(checkpoint: Path, name: str, checksum: int) -> bool:
    path = checkpoint / name
    # A list that comes from elsewhere must not make this read what lies elsewhere, or never ends.
    return path.parent == checkpoint and path.is_file() and _checksum(path) == checksum


def _epochs(folder: Path) -> Iterator[tuple[int, Path]]:
    return ((int(path.name.removeprefix("epoch_")), path) for path in folder.glob("epoch_*"))


def _checksum(path: Path) -> int:
    found = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found = zlib.crc32(chunk, found)
    return found
