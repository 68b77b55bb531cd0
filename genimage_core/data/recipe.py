"""What decides the pixels of a set of decoded images, and the fingerprint of it."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from PIL import features

DECODER_VERSION = 3  # raise it when the same file would give other pixels


@dataclass(frozen=True)
class SourceFile:
    """A file that was chosen.

    Attributes:
        path: Where it lies.
        name: Its path relative to the root, posix.
        label: 0 = nature, 1 = ai.
        bytes: Its size; 0 if the operating system does not tell.
        mtime_ns: Time of its last change; 0 if the operating system does not tell.
    """

    path: Path
    name: str
    label: int
    bytes: int
    mtime_ns: int


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the pixels of a set of decoded images.

    Attributes:
        generator: Generator of the fakes; for messages.
        split: `train` or `val`; for messages.
        files: In the order in which they are stored.
        alignment: One of `settings.ALIGNMENTS`.
        crop: One of `settings.CROPS`.
        size: Side of what is stored, in pixels.
        seed: Of what `match_quality` draws.
    """

    generator: str
    split: str
    files: tuple[SourceFile, ...]
    alignment: str
    crop: str
    size: int
    seed: int

    @cached_property
    def fingerprint(self) -> str:
        """Hash of files, alignment, crop, size and decoder; not of where the root lies."""
        seed = self.seed if self.alignment == "match_quality" else None
        files = [(file.name, file.label, file.bytes, file.mtime_ns) for file in self.files]
        return digest([decoder(), self.alignment, self.crop, self.size, seed, files])

    @property
    def identity(self) -> str:
        """Hash of names, labels and sizes of the files: equal on machines that have a copy each."""
        return digest([(file.name, file.label, file.bytes) for file in self.files])

    @property
    def needed_bytes(self) -> int:
        """Room on the disk, at most: pixels and what is written down about each file."""
        return len(self.files) * (self.size**2 * 3 + 512) + 2**20


def find_sources(root: Path, chosen: Iterable[tuple[Path, int]]) -> tuple[SourceFile, ...]:
    """Look up size and time of change of the files that were chosen below `root`."""
    return tuple(_source(path, path.relative_to(root).as_posix(), label) for path, label in chosen)


def _source(path: Path, name: str, label: int) -> SourceFile:
    try:
        status = path.stat()
    except OSError:  # a link to nowhere, say: decoding it will tell
        return SourceFile(path, name, label, 0, 0)
    return SourceFile(path, name, label, status.st_size, status.st_mtime_ns)


def decoder() -> dict[str, object]:
    """Name what turns files into pixels here: versions of this code, of Pillow and of its libraries."""
    jpeg = features.version("libjpeg_turbo") or features.version("jpg")
    others = {name: features.version(name) for name in ("webp", "jpg_2000", "libtiff", "avif")}
    return {"decoder": DECODER_VERSION, "pillow": features.version("pil"), "jpeg": jpeg, **others}


def digest(content: object) -> str:
    """Short stable hash of anything JSON can hold."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
