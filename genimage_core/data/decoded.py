"""The cache of decoded images: made once by one process, shared by all, looked after.

`<cache>/decoded/<fingerprint>/` holds shards, a manifest, `checked`, and `used`, whose time of change tells
when the set was last opened; a reader holds a shared lock on it for as long as the set is in use.
`<fingerprint>.lock` is held while a set is made, opened or removed.
"""

import os
import sys
import time
import warnings
import weakref
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from genimage_core.data.decoding import PARTIAL, Report, decode_into, discard
from genimage_core.data.recipe import Recipe
from genimage_core.data.shards import Manifest, check_shards, map_shards, read_manifest

CHECKED = "checked"  # its time of change tells when the checksums were last compared
TRUSTED_S = 3600  # the workers of a node start together: one of them compares


class Pin:
    """Keeps a decoded set from being cleaned away, as long as this object lives or its process does."""

    def __init__(self, folder: Path) -> None:
        descriptor = os.open(folder / "used", os.O_RDWR | os.O_CREAT, 0o666)
        weakref.finalize(self, os.close, descriptor)
        if sys.platform != "win32":  # which removes no file that is in use
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_SH)


def is_pinned(folder: Path) -> bool:
    """Whether any process has the set in `folder` open."""
    if sys.platform == "win32":
        return False
    import fcntl

    with (folder / "used").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@dataclass(frozen=True)
class Decoded:
    """A set of decoded images, open.

    Attributes:
        shards: Memory maps, each (n, size, size, 3), uint8, RGB, read-only.
        manifest: What is in them.
        pin: Keeps the set from being cleaned away.
    """

    shards: tuple[NDArray[np.uint8], ...]
    manifest: Manifest
    pin: Pin


def home(cache: Path) -> Path:
    """Return the folder of all decoded sets."""
    return cache / "decoded"


def lock_of(folder: Path) -> FileLock:
    """Return the lock under which the set in `folder` is made, opened or removed."""
    return FileLock(folder.with_name(folder.name + ".lock"))


def is_decoded(recipe: Recipe, cache: Path) -> bool:
    """Whether the set of a recipe is in the cache."""
    return (home(cache) / recipe.fingerprint).exists()


def open_decoded(recipe: Recipe, cache: Path, report: Report | None = None) -> Decoded:
    """Open the decoded images of a recipe, decoding them first if they are not there or damaged.

    Safe when several processes ask at once: one decodes, the others wait. Checksums are compared unless that
    was done within `TRUSTED_S` and no shard has changed since.

    Args:
        recipe: Which files, and how.
        cache: Cache folder.
        report: Told how many images are done while decoding.

    Raises:
        ValueError: If the disk has too little room, or no quality can be matched.
    """
    folder = home(cache) / recipe.fingerprint
    folder.parent.mkdir(parents=True, exist_ok=True)
    with lock_of(folder):
        manifest = _find_whole(folder, recipe)
        if manifest is None:
            remove_leftovers(folder.parent)
            manifest = decode_into(folder, recipe, report)
        pin = Pin(folder)
    _stamp(folder / "used")
    return Decoded(map_shards(folder, manifest), manifest, pin)


def _find_whole(folder: Path, recipe: Recipe) -> Manifest | None:
    """Return the manifest of a set that is there and whole; put a damaged one away, with a notice."""
    if not folder.exists():
        return None
    try:
        manifest = read_manifest(folder)
        trusted = _is_trusted(folder, manifest)
        check_shards(folder, manifest, contents=not trusted)
        if not trusted:
            _look_again(recipe, manifest)
            _stamp(folder / CHECKED)
    except (ValueError, OSError) as damage:
        warnings.warn(f"decoded images in {folder}: {damage}; they are decoded again", stacklevel=4)
        remove(folder)
        return None
    return manifest


def _is_trusted(folder: Path, manifest: Manifest) -> bool:
    """Whether the contents were compared a short while ago and no shard was written to afterwards."""
    try:
        checked = (folder / CHECKED).stat().st_mtime_ns
        changed = [(folder / shard.name).stat().st_mtime_ns for shard in manifest.shards]
    except OSError:
        return False
    return 0 <= time.time_ns() - checked < TRUSTED_S * 10**9 and all(t < checked for t in changed)


def _stamp(file: Path) -> None:
    with suppress(PermissionError):  # somebody else's
        file.touch()


def _look_again(recipe: Recipe, manifest: Manifest) -> None:
    refused = {name for name, _, reason in manifest.bad if reason == "unreadable"}
    for file in recipe.files:
        if file.name in refused and _is_readable(file.path):
            raise ValueError(f"{file.path} could not be read then and can be now")


def _is_readable(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError:
        return False
    return True


def remove(folder: Path) -> None:
    """Remove a set under its lock; a kill half-way leaves nothing that looks whole."""
    unfinished = folder.with_name(folder.name + PARTIAL)
    discard(unfinished)
    folder.rename(unfinished)
    discard(unfinished)


def remove_leftovers(folder: Path) -> None:
    """Remove what processes that died were decoding; what a live one decodes is locked."""
    for unfinished in folder.glob(f"*{PARTIAL}"):
        with suppress(Timeout), lock_of(unfinished.with_suffix("")).acquire(blocking=False):
            discard(unfinished)
