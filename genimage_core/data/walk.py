"""Images wherever they lie, one after the other: nothing is kept but the names of one folder."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from genimage_core.data.folders import EXTENSIONS, is_folder

Found = tuple[Path, str]  # what may be an image, or what cannot be looked into and why
_Pending = tuple[Path, frozenset[str]]  # a folder, and the folders above it with all links followed


def find_images(given: Iterable[Path]) -> Iterator[Found]:
    """Find the images of files and folders, in the order given; nothing raises, everything is told.

    A file that is given is taken whatever it is called. In folders and all that lie in them, links followed,
    files are known by their extension and hidden ones are passed over, as the index does. Each folder's files
    come first, sorted by name, then its folders.
    """
    for path in given:
        if not is_folder(path):
            yield path, ""  # decoding it tells what is wrong with it, if it is not there for instance
            continue
        empty = True
        for found in _walk(path):
            empty = False
            yield found
        if empty:
            yield path, "a folder without an image"


def _walk(top: Path) -> Iterator[Found]:
    pending: list[_Pending] = [(top, frozenset())]  # not recursive: folders may lie deeper than calls may
    while pending:
        folder, above = pending.pop()
        real = os.path.realpath(folder)
        if real in above:
            continue  # a link to a folder that it lies in
        try:
            folders, files = _list(folder)
        except OSError as error:
            yield folder, f"a folder that cannot be read: {error.strerror or error}"
            continue
        for name in files:
            yield folder / name, ""
        pending += [(folder / name, above | {real}) for name in reversed(folders)]


def _list(folder: Path) -> tuple[list[str], list[str]]:
    """Names of folders and of images, sorted."""
    folders, files = [], []
    with os.scandir(folder) as scan:
        for entry in scan:
            # What starts with a dot belongs to the system: macOS puts a `._x.png` beside every `x.png`.
            if entry.name.startswith("."):
                continue
            if is_folder(entry):
                folders.append(entry.name)
            elif Path(entry.name).suffix.lower() in EXTENSIONS:
                files.append(entry.name)
    return sorted(folders), sorted(files)
