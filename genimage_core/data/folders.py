"""What the folders of an image collection are called, and a search for splits and classes below one."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from genimage_core.generators import GENIMAGE

CLASS_FOLDERS = ("nature", "ai")  # position = label
SPLITS = ("train", "val")
_JPEG = {".jpg", ".jpeg", ".jpe", ".jfif", ".jp2"}
EXTENSIONS = frozenset({*_JPEG, ".png", ".webp", ".avif", ".gif", ".bmp", ".tif", ".tiff"})

_CLASSES = {"nature": 0, "ai": 1, "0_real": 0, "1_fake": 1, "real": 0, "fake": 1}
_SPLITS = {"train": "train", "training": "train", "val": "val", "validation": "val", "test": "val"}


@dataclass(frozen=True)
class Finding:
    """A folder with images of one generator, split and label.

    Attributes:
        generator: Short name.
        title: Name to show.
        split: `train` or `val`; a collection without splits is for testing.
        label: 0 = nature, 1 = ai.
        folder: Where the images are.
        holder: The generator's folder, which holds splits and classes.
        kind: `genimage` or `cnndetection`, by the names of the classes.
    """

    generator: str
    title: str
    split: str
    label: int
    folder: Path
    holder: Path
    kind: str


def plain(name: str, between: str = "") -> str:
    """A name in lower case with nothing but letters and digits, words joined by `between`."""
    return re.sub(r"[^a-z0-9]+", between, name.lower()).strip(between or None)


def claimed(folder: str) -> tuple[str, str] | None:
    """Name and title of the generator of GenImage that a folder's name stands for."""
    for generator in GENIMAGE.generators:
        known = (generator.name, generator.title, *generator.folders)
        if plain(folder) in map(plain, known):
            return generator.name, generator.title
    return None


def guarded(path: Path, root: Path, follow_links: bool) -> Path:
    """Return a path, unless it is a link out of the root that may not be followed.

    Raises:
        ValueError: If it is; the message names the link and where it leads.
    """
    return path if follow_links or not path.is_symlink() else inside(path, root)


def inside(path: Path, root: Path) -> Path:
    """Return a path that lies in the root, all links followed.

    Raises:
        ValueError: If it does not; the message names it and where it leads.
    """
    try:
        target = path.resolve()
    except (OSError, RuntimeError):  # a link to itself leads nowhere
        return path
    if not target.is_relative_to(root.resolve()):
        raise ValueError(
            f"{path} is a link that leads out of the data root, to {target}; remove it, or allow such "
            "links (--follow-links, or data.follow_links: true in a space file)"
        )
    return path


def subfolders(folder: Path) -> list[Path]:
    """Folders in a folder, sorted by name."""
    with os.scandir(folder) as scan:
        return [folder / name for name in sorted(e.name for e in scan if e.name[0] != "." and is_folder(e))]


def is_folder(entry: os.DirEntry[str] | Path) -> bool:
    """Whether an entry is a folder or a link to one; a link to itself, or one unseen, is neither."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def search_holder(folder: Path, named: tuple[str, str], root: Path, follow_links: bool) -> Iterator[Finding]:
    """Find splits and classes in a generator's folder, or in the inner one that the release puts there."""
    found = list(_splits(folder, named, root, follow_links))
    if not found and folder != root:
        for inner in subfolders(folder):
            if claimed(inner.name) == named:
                found += _splits(guarded(inner, root, follow_links), named, root, follow_links)
    yield from found


def _splits(holder: Path, named: tuple[str, str], root: Path, follow_links: bool) -> Iterator[Finding]:
    splits: dict[str, Path] = {}
    for path in subfolders(holder):
        split = _SPLITS.get(path.name.lower())
        if split and (
            split not in splits or path.name.lower() != "test"
        ):  # `test` only where there is no `val`
            splits[split] = path
    for split, path in splits.items() or [("val", holder)]:
        guarded(path, root, follow_links)
        # The root itself is one generator only if its classes are plain to see.
        for label, folder in _classes(path, root, follow_links):
            guarded(folder, root, follow_links)
            kind = "cnndetection" if folder.name.lower() in ("0_real", "1_fake") else "genimage"
            yield Finding(*named, split, label, folder, holder, kind)


def _classes(folder: Path, root: Path, follow_links: bool) -> Iterator[tuple[int, Path]]:
    """Folders of the two classes: here, or below folders of subjects (`airplane/0_real`)."""
    folders = subfolders(folder)
    here = [(_CLASSES[path.name.lower()], path) for path in folders if path.name.lower() in _CLASSES]
    if here or folder == root:
        yield from here
        return
    for subject in folders:
        for path in subfolders(guarded(subject, root, follow_links)):
            if path.name.lower() in ("0_real", "1_fake"):
                yield _CLASSES[path.name.lower()], path
