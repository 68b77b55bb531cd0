"""The manifest of an index: whose it is, and which parts make it up.

Replacing it is the one step that changes what a reader sees, so an index is always a whole one: the last
that was finished.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from genimage_core.data.index_parts import folder_name, write_atomically
from genimage_core.data.layout import Layout, Place

FORMAT = 2  # raise it when the columns or their meaning change
_NAME = "index.json"


@dataclass(frozen=True)
class IndexedPlace:
    """A place as it was indexed; `folder` is relative to the root, `name` is its folder of parts."""

    generator: str
    split: str
    label: int
    folder: str
    patterns: tuple[str, ...]
    name: str
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Manifest:
    """What was indexed, by which kind of layout; `places` is None until the first index is whole."""

    root: str
    kind: str
    places: tuple[IndexedPlace, ...] | None = None


def indexed(place: Place, root: Path, parts: tuple[str, ...]) -> IndexedPlace:
    """Describe a place and the parts that tell of it."""
    folder = place.folder.relative_to(root).as_posix()
    name = folder_name(place, root)
    return IndexedPlace(place.generator, place.split, place.label, folder, place.patterns, name, parts)


def claim(target: Path, root: str, kind: str) -> Manifest:
    """Return the manifest of `target`, making it if the folder is new or empty.

    Raises:
        ValueError: If the folder is something else, or the index of another data root or format.
    """
    target.mkdir(parents=True, exist_ok=True)
    if not (target / _NAME).exists():
        if any(path.name != f"{_NAME}.partial" for path in target.iterdir()):
            raise ValueError(f"{target} holds other files than an index; name a new or an empty folder")
        write_manifest(target, Manifest(root, kind))
    manifest = read_manifest(target)
    if manifest.root != root:
        raise ValueError(
            f"the index {target} belongs to the data root {manifest.root}, not to {root}; "
            "name another folder, or delete it to index anew"
        )
    return manifest


def read_manifest(target: Path) -> Manifest:
    """Read the manifest of an index.

    Raises:
        ValueError: If there is none, or of another format.
    """
    try:
        content = json.loads((target / _NAME).read_text(encoding="utf-8"))
        version = content["format"]
        if version == FORMAT:
            return _from_json(content)
    except FileNotFoundError as error:
        raise ValueError(
            f"there is no index at {target}; make one with `genimage data index ROOT`"
        ) from error
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ValueError(
            f"cannot read {target / _NAME} ({error}); delete the folder and index anew"
        ) from error
    raise ValueError(
        f"the index {target} has format {version}, this program reads {FORMAT}; delete it and index anew"
    )


def _from_json(content: dict[str, Any]) -> Manifest:
    places = content["places"]
    if places is not None:
        tuples = ("patterns", "parts")
        places = tuple(IndexedPlace(**p | {name: tuple(p[name]) for name in tuples}) for p in places)
    return Manifest(content["root"], content["kind"], places)


def write_manifest(target: Path, manifest: Manifest) -> None:
    """Replace the manifest: from now on readers see its parts."""
    content = {"format": FORMAT, **asdict(manifest)}
    write_atomically(target / _NAME, json.dumps(content, indent=1).encode())


def left_out(old: Manifest, layout: Layout, places: Sequence[IndexedPlace]) -> Iterator[IndexedPlace]:
    """Yield what the old index tells of generators that this layout leaves out and that still exist."""
    generators = {place.generator for place in places}
    folders = {place.folder for place in places}
    for entry in old.places or ():
        elsewhere = entry.generator not in generators and entry.folder not in folders
        if elsewhere and old.kind == layout.kind and not _is_gone(layout.root / entry.folder):
            yield entry


def _is_gone(folder: Path) -> bool:
    try:
        folder.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        pass  # it may not be looked at, so it is there
    return False


def sweep(target: Path, manifest: Manifest) -> None:
    """Remove what belongs to no place: partial files, parts that were replaced, places that vanished."""
    parts = {place.name: place.parts for place in manifest.places or ()}
    for path in target.iterdir():
        if path.is_dir() and path.name not in parts:
            shutil.rmtree(path)
        elif path.is_dir():
            for part in path.iterdir():
                if part.name not in parts[path.name]:
                    part.unlink()
        elif path.suffix == ".partial":
            path.unlink()
