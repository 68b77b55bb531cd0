"""What a node of a cluster finds: packages, shared folders, images.

This runs there before anything is known of the node, so it needs nothing but Python until it looks at images.
"""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from genimage_core.data.layout import Layout
    from genimage_core.settings import DataSettings

NONCE = "nonce"
Identities = Mapping[tuple[str, str], str]  # generator, split -> identity of the images, or why there is none


@dataclass(frozen=True)
class NodeFacts:
    """What was found on a node.

    Attributes:
        versions: By package; empty where it is not installed.
        folders: What is wrong with each folder that all nodes are to share; empty where nothing is.
    """

    versions: Mapping[str, str]
    folders: Mapping[str, str]


def look(packages: Iterable[str], folders: Mapping[str, Path], nonce: str, mark: str) -> NodeFacts:
    """Look up versions, read what the driver wrote into the folders, and leave a mark there.

    Args:
        packages: As they are called on PyPI.
        folders: By what they are for.
        nonce: What the file `NONCE` in each of them holds.
        mark: Name of the file to write the nonce into.
    """
    versions = {"python": f"{sys.version_info.major}.{sys.version_info.minor}"}
    versions |= {name: _version(name) for name in packages}
    return NodeFacts(versions, {kind: _try_folder(path, nonce, mark) for kind, path in folders.items()})


def _version(package: str) -> str:
    try:
        return version(package).partition("+")[0]  # +cpu and +cu128 are one version for unlike machines
    except PackageNotFoundError:
        return ""


def _try_folder(folder: Path, nonce: str, mark: str) -> str:
    try:
        if (folder / NONCE).read_text(encoding="ascii") != nonce:
            return "another folder is there"
        (folder / mark).write_text(nonce, encoding="ascii")
    except OSError as error:
        return f"{type(error).__name__}: {error.strerror}"
    return ""


def identify(
    layout: "Layout", generators: Iterable[str], settings: "DataSettings", seed: int
) -> dict[tuple[str, str], str]:
    """Choose the images of a run as the search does; their `Recipe.identity`, or the error, by split."""
    from genimage_core.data.images import describe_images
    from genimage_core.data.layout import SPLITS

    def one(name: str, split: str) -> str:
        try:
            return describe_images(layout, name, split, settings, seed).identity
        except (OSError, ValueError) as error:
            return f"{type(error).__name__}: {error}"

    return {(name, split): one(name, split) for name in generators for split in SPLITS}
