"""Decoding a set of images into the cache: in parallel, in order, atomically."""

import math
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genimage_core.data.ahead import map_in_threads
from genimage_core.data.alignment import target_quality
from genimage_core.data.pixels import UnreadableImage, decode, read_quality
from genimage_core.data.recipe import Recipe, SourceFile, decoder
from genimage_core.data.shards import Manifest, write_manifest, write_shards

Report = Callable[[int, int], None]  # images done, images in all
Result = NDArray[np.uint8] | str  # pixels, or why there are none
PARTIAL = ".partial"
_AHEAD = 4  # files per thread that are decoded before they are asked for


def decode_into(folder: Path, recipe: Recipe, report: Report | None = None) -> Manifest:
    """Decode the files of a recipe into `folder`, which appears whole or not at all.

    The caller holds the lock of the folder. What a predecessor left unfinished is removed.

    Raises:
        ValueError: If the disk has too little room or cannot be written to; or if a quality is to be drawn
            and no real image has a known one.
    """
    unfinished = folder.with_name(folder.name + PARTIAL)
    discard(unfinished)
    require_room(recipe.needed_bytes, folder.parent)
    try:
        unfinished.mkdir()
        manifest = _write(unfinished, recipe, report)
        (unfinished / "used").touch()
        _sync_folder(unfinished)
        unfinished.rename(folder)
        _sync_folder(folder.parent)
    except OSError as error:
        raise ValueError(
            f"cannot write decoded images to {folder.parent}: {error.strerror or error}; make room there, or "
            "set GENIMAGE_CACHE to a folder on another disk"
        ) from error
    finally:
        discard(unfinished)
    return manifest


def require_room(needed: int, folder: Path) -> None:
    """Refuse to write `needed` bytes below `folder` where they do not fit.

    Raises:
        ValueError: With both figures.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ValueError(
            f"decoded images need {readable(needed)} in {folder}, where {readable(free)} are free; make room "
            "there, set GENIMAGE_CACHE to a folder on a larger disk, or lower data.train_per_class and "
            "data.val_per_class"
        )


def readable(count: float) -> str:
    """Write a number of bytes for people: `1.5 GB`."""
    power = min(4, max(0, math.floor(math.log(max(count, 1), 1000))))
    return f"{count / 1000**power:.3g} {('bytes', 'kB', 'MB', 'GB', 'TB')[power]}"


def discard(folder: Path) -> None:
    """Remove a folder if it is there."""
    if folder.is_dir():
        shutil.rmtree(folder)
    else:
        folder.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":  # elsewhere folders cannot be opened
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _write(folder: Path, recipe: Recipe, report: Report | None) -> Manifest:
    kept: list[SourceFile] = []
    bad: list[tuple[str, int, str]] = []

    def decoded_images() -> Iterator[NDArray[np.uint8]]:
        for done, (file, result) in enumerate(decode_in_order(recipe), start=1):
            if isinstance(result, str):
                bad.append((file.name, file.label, result))
            else:
                kept.append(file)
                yield result
            if report:
                report(done, len(recipe.files))

    shards = write_shards(folder, decoded_images(), recipe.size)
    manifest = Manifest(
        title=f"{recipe.generator} {recipe.split}",
        size=recipe.size,
        shards=shards,
        files=tuple(file.name for file in kept),
        labels=tuple(file.label for file in kept),
        bad=tuple(bad),
        recipe={"format_alignment": recipe.alignment, "crop": recipe.crop, "seed": recipe.seed, **decoder()},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    write_manifest(folder, manifest)
    return manifest


def decode_in_order(recipe: Recipe, threads: int | None = None) -> Iterator[tuple[SourceFile, Result]]:
    """Decode the files of a recipe, a few ahead in threads: Pillow lets go of the interpreter."""
    threads = threads or usable_cores()
    yield from map_in_threads(_decode_with(recipe), recipe.files, threads, _AHEAD * threads)


def usable_cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _decode_with(recipe: Recipe) -> Callable[[SourceFile], Result]:
    qualities = _real_qualities(recipe) if recipe.alignment == "match_quality" else ()
    draw = partial(target_quality, recipe.alignment, real_qualities=qualities, seed=recipe.seed)

    def decode_one(file: SourceFile) -> Result:
        quality = draw(file.name, file.label)
        try:
            return decode(file.path, recipe.size, quality=quality, resize=recipe.crop == "resize")
        except UnreadableImage as error:
            return error.reason

    return decode_one


def _real_qualities(recipe: Recipe) -> tuple[int, ...]:
    reals = [file.path for file in recipe.files if file.label == 0]
    with ThreadPoolExecutor(usable_cores()) as pool:
        found = tuple(sorted(quality for quality in pool.map(read_quality, reals) if quality is not None))
    if not any(found):
        raise ValueError(
            f"{recipe.generator} {recipe.split}: data.format_alignment match_quality draws from the JPEG "
            f"qualities of the real images, and none of the {len(reals)} chosen is a JPEG of known quality; "
            "choose another alignment"
        )
    return found
