"""Cleaning the cache of decoded images: what was not used for the longest time goes first."""

from dataclasses import dataclass
from pathlib import Path

from filelock import Timeout

from genimage_core.data.decoded import home, is_pinned, lock_of, remove, remove_leftovers
from genimage_core.data.decoding import PARTIAL
from genimage_core.data.shards import read_manifest


@dataclass(frozen=True)
class CachedSet:
    """A decoded set in the cache.

    Attributes:
        folder: Where it lies.
        title: Generator and split; "damaged" if its manifest is.
        bytes: Its size on the disk.
        used: When it was last opened, seconds since 1970.
    """

    folder: Path
    title: str
    bytes: int
    used: float


def list_sets(cache: Path) -> list[CachedSet]:
    """List the decoded sets, the one that was not used for the longest time first."""
    folders = [f for f in home(cache).glob("*") if f.is_dir() and f.suffix != PARTIAL]
    found = [cached for folder in folders if (cached := _describe(folder))]
    return sorted(found, key=lambda cached: (cached.used, cached.folder))


def _describe(folder: Path) -> CachedSet | None:
    try:
        size = sum(file.stat().st_size for file in folder.iterdir())
        stamp = folder / "used"
        used = (stamp if stamp.exists() else folder).stat().st_mtime
    except FileNotFoundError:  # removed meanwhile
        return None
    try:
        title = read_manifest(folder).title
    except (ValueError, OSError):
        title = "damaged"
    return CachedSet(folder, title, size, used)


def clean_cache(cache: Path, keep_bytes: int) -> list[CachedSet]:
    """Remove decoded sets until at most `keep_bytes` are left, and what dead processes left unfinished.

    The set that was not used for the longest time goes first. One that any process has open, or is making,
    stays, even if that leaves more than `keep_bytes`.

    Returns:
        What was removed, in order.
    """
    remove_leftovers(home(cache))
    sets, removed = list_sets(cache), []
    left = sum(cached.bytes for cached in sets)
    for cached in sets:
        if left <= keep_bytes:
            break
        if _remove_unused(cached.folder):
            removed.append(cached)
            left -= cached.bytes
    return removed


def _remove_unused(folder: Path) -> bool:
    try:
        with lock_of(folder).acquire(blocking=False):
            if not folder.exists() or is_pinned(folder):
                return False
            remove(folder)
    except Timeout:
        return False
    return True
