"""Where images lie on a disk: the ways in which GenImage and test packs like it are unzipped.

Folders of a generator are known by their names, whatever their case and punctuation. A generator that is not
asked for is not touched: a sealed one need not even be readable.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from genimage_core.data.folders import (
    CLASS_FOLDERS,
    EXTENSIONS,
    SPLITS,
    Finding,
    claimed,
    guarded,
    inside,
    is_folder,
    plain,
    search_holder,
    subfolders,
)
from genimage_core.data.mapping import Mapped, in_any_case, read_mapping
from genimage_core.generators import GENIMAGE, Catalog, Generator

__all__ = ["CLASS_FOLDERS", "EXTENSIONS", "SPLITS", "Layout", "Place", "find_layout", "list_images"]

EVERYTHING = ("**/*",)
EXAMPLES = (
    "ADM/imagenet_ai_0508_adm/{train,val}/{ai,nature} (as released), adm/{train,val}/{ai,nature}, "
    "progan/{0_real,1_fake} (CNNDetection), {train,val}/{nature,ai} (one generator), or a mapping of your own"
)


@dataclass(frozen=True)
class Place:
    """Images of one generator, split and label.

    Attributes:
        generator: Short name.
        split: `train` or `val`.
        label: 0 = nature, 1 = ai.
        folder: Absolute.
        patterns: Globs below the folder; `**/*` is everything.
    """

    generator: str
    split: str
    label: int
    folder: Path
    patterns: tuple[str, ...] = EVERYTHING


@dataclass(frozen=True)
class Layout:
    """What was found under a data root.

    Attributes:
        root: Absolute.
        kind: `genimage`, `cnndetection`, `imagefolder` or `mapping`.
        catalog: The generators that may be asked for here: GenImage's and those that were found.
        places: Where the images are, in the order of the catalog.
        follow_links: Whether links may lead out of the root.
    """

    root: Path
    kind: str
    catalog: Catalog
    places: tuple[Place, ...]
    follow_links: bool = False

    @property
    def generators(self) -> tuple[str, ...]:
        """Names of those found, in the order of the catalog."""
        return tuple(dict.fromkeys(place.generator for place in self.places))

    def require(self, names: Sequence[str], splits: Sequence[str] = SPLITS) -> None:
        """Check that generators are there with both classes.

        Raises:
            ValueError: If something is missing; the message says what was looked for and where.
        """
        there = {(place.generator, place.split, place.label) for place in self.places}
        missing = [name for name in names if name not in self.generators]
        if missing:
            raise ValueError(
                f"data root {self.root} lacks {', '.join(missing)}{_example(self.catalog, missing[0])}; "
                f"it has {', '.join(self.generators)}. Unzip what is missing or name other generators"
            )
        for name in names:
            for split in splits:
                for label, folder in enumerate(CLASS_FOLDERS):
                    if (name, split, label) not in there:
                        raise ValueError(f"data root {self.root}: {name} has no {split} images of {folder}")

    def images(self, generator: str, split: str, label: int) -> Iterator[Path]:
        """Files of one generator, split and class, sorted folder by folder."""
        wanted = (generator, split, label)
        places = [p for p in self.places if (p.generator, p.split, p.label) == wanted]
        for place in places:
            yield from list_images(place, self)


def find_layout(
    root: Path,
    names: Sequence[str] | None = None,
    *,
    mapping: Mapping[str, Any] | None = None,
    follow_links: bool = False,
) -> Layout:
    """Find the generators under `root`.

    Args:
        root: What the user unzipped.
        names: Only these; others are not touched. None: all.
        mapping: Says where everything is, for a tree that is none of the known ones (see `mapping`).
        follow_links: Follow symbolic links that lead out of the root.

    Raises:
        ValueError: If nothing is found, two folders claim one generator, a link leads out of the root, or
            the mapping is wrong.
    """
    if not root.is_dir():
        raise ValueError(f"data root {root} is not a directory; point --data at the unzipped images")
    root = root.absolute()
    if mapping is not None:
        return _mapped(root, names, read_mapping(mapping), follow_links)
    findings = list(_look(root, names, follow_links))
    if not findings:
        raise ValueError(_nothing_found(root, names))
    _refuse_two(findings)
    foreign = [
        Generator(name, title, name)
        for name, title in dict.fromkeys((f.generator, f.title) for f in findings)
        if name not in GENIMAGE.names
    ]
    catalog = GENIMAGE.extended(foreign)
    places = [Place(f.generator, f.split, f.label, f.folder) for f in findings]
    kind = "imagefolder" if findings[0].holder == root else findings[0].kind
    return Layout(root, kind, catalog, _ordered(places, catalog), follow_links)


def list_images(place: Place, layout: Layout) -> Iterator[Path]:
    """Image files of a place, by extension in any case, sorted by folder; hidden ones are passed over.

    Raises:
        ValueError: If a link leads out of the root and links are not followed.
    """
    if place.patterns == EVERYTHING:
        above = frozenset(os.path.realpath(folder) for folder in place.folder.parents)
        yield from _walk(place.folder, layout, above)
        return
    # Two patterns may match one file.
    for path in sorted({path for glob in place.patterns for path in place.folder.glob(in_any_case(glob))}):
        if path.suffix.lower() in EXTENSIONS and path.name[0] != "." and path.is_file():
            yield path if layout.follow_links else inside(path, layout.root)


def _walk(folder: Path, layout: Layout, above: frozenset[str]) -> Iterator[Path]:
    real = os.path.realpath(folder)
    if real in above:
        return  # a link to a folder that it lies in
    with os.scandir(folder) as scan:
        # What starts with a dot belongs to the system: macOS puts a `._x.png` beside every `x.png`.
        entries = sorted((e for e in scan if e.name[0] != "."), key=lambda entry: entry.name)
    folders = []
    for entry in entries:
        wanted = Path(entry.name).suffix.lower() in EXTENSIONS
        if entry.is_symlink() and (wanted or is_folder(entry)):
            guarded(Path(entry.path), layout.root, layout.follow_links)
        if is_folder(entry):
            folders.append(Path(entry.path))
        elif wanted:
            yield Path(entry.path)
    for inner in folders:
        yield from _walk(inner, layout, above | {real})


def _nothing_found(root: Path, names: Sequence[str] | None) -> str:
    there = ", ".join(sorted(entry.name for entry in os.scandir(root))[:8]) or "nothing"
    if names is None:
        return f"data root {root} has no generator in it; known are {EXAMPLES}; it holds {there}"
    example = _example(GENIMAGE, names[0]) or f" (known are {EXAMPLES})"
    return f"data root {root} lacks {', '.join(names)}{example}; it holds {there}"


def _look(root: Path, names: Sequence[str] | None, follow_links: bool) -> Iterator[Finding]:
    """Search the root itself, then its folders, those of other generators excepted."""
    itself = list(search_holder(root, claimed(root.name) or _foreign(root.name), root, follow_links))
    if itself:
        yield from (finding for finding in itself if names is None or finding.generator in names)
        return
    for folder in subfolders(root):
        name, title = claimed(folder.name) or _foreign(folder.name)
        if names is None or name in names:
            guarded(folder, root, follow_links)
            yield from search_holder(folder, (name, title), root, follow_links)


def _foreign(folder: str) -> tuple[str, str]:
    return plain(folder, "_") or folder, folder


def _refuse_two(findings: Sequence[Finding]) -> None:
    holders: dict[tuple[str, str], Path] = {}
    for finding in findings:
        first = holders.setdefault((finding.generator, finding.split), finding.holder)
        if first != finding.holder:
            raise ValueError(
                f"{first} and {finding.holder} both claim to be {finding.generator} ({finding.split}); "
                "move one of them out of the data root, or tell them apart with a mapping"
            )


def _mapped(root: Path, names: Sequence[str] | None, mapped: Mapped, follow_links: bool) -> Layout:
    catalog = mapped.catalog(GENIMAGE)
    places = [
        Place(name, split, label, root, patterns)
        for name, split, label, patterns in mapped.patterns()
        if names is None or name in names
    ]
    layout = Layout(root, "mapping", catalog, _ordered(places, catalog), follow_links)
    for place in layout.places:
        for pattern in place.patterns:
            if next(list_images(replace(place, patterns=(pattern,)), layout), None) is None:
                raise ValueError(
                    f"{place.generator}: no image under {root} matches {pattern!r} ({place.split})"
                )
    return layout


def _ordered(places: Sequence[Place], catalog: Catalog) -> tuple[Place, ...]:
    rank = catalog.names.index
    return tuple(sorted(places, key=lambda p: (rank(p.generator), SPLITS.index(p.split), p.label)))


def _example(catalog: Catalog, name: str) -> str:
    known = [generator for generator in catalog.generators if generator.name == name and generator.folders]
    return f" (expected e.g. {known[0].top}/{known[0].inner}/train/{{ai,nature}})" if known else ""
