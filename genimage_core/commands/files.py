"""What the commands share: reading what a user names, showing how far the work is."""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from genimage_core.cache import cache_folder
from genimage_core.data.folders import is_folder
from genimage_core.data.images import count_images
from genimage_core.data.layout import Layout, find_layout
from genimage_core.data.mini import MiniSettings, ensure_mini
from genimage_core.data.mini_card import is_simulated
from genimage_core.settings import require
from genimage_core.yaml_files import read_yaml

MINI = "mini"
WEIGHTS = ".safetensors"
Report = Callable[[int, int | None], None]  # done, total


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        ValueError: If it cannot be read or holds something else; the message names the file.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"cannot read {path}: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold an object, got {type(content).__name__}")
    return content


def members_of(path: Path) -> list[Path]:
    """Return the checkpoints that CHECKPOINT names: a file whatever it is called, or all of a folder.

    Raises:
        ValueError: If the folder holds none, or is the folder of a run.
    """
    if not is_folder(path):
        return [path]
    if (path / "best").is_dir():  # its only checkpoint is the base that the search started from
        raise ValueError(f"{path} is the folder of a run; its detectors are in {path / 'best'}")
    members = sorted(path.glob(f"*{WEIGHTS}"))
    if not members:
        raise ValueError(
            f"{path} holds no checkpoint (*{WEIGHTS}); name a checkpoint, or a folder of them, first"
        )
    return members


def add_data(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments that say where the images are."""
    parser.add_argument("--data", required=True, metavar="ROOT", help="data root, or mini: the embedded set")
    parser.add_argument("--layout", type=Path, metavar="FILE", help="mapping (YAML) for a tree of your own")
    parser.add_argument("--follow-links", action="store_true", help="follow links that lead out of ROOT")
    parser.add_argument("--generators", metavar="A,B", help="only these; others are not touched")


def open_layout(arguments: argparse.Namespace, console: Console) -> Layout:
    """Find the images that `add_data` declared, making the embedded data set if that is asked for.

    Raises:
        ValueError: If there are none, or a generator is missing.
    """
    return find_named(root_of(arguments.data, console), arguments)


def root_of(data: str, console: Console) -> Path:
    """Return the path that --data means; the embedded data set is made if that is asked for."""
    if data != MINI:
        return Path(data)
    with progress(console, "making the embedded data set (simulated; once)") as report:
        return ensure_mini(cache_folder(), MiniSettings(), report)


def is_embedded(arguments: argparse.Namespace) -> bool:
    """Whether the images are the simulated ones of the embedded data set, by its name or by a path to it."""
    return arguments.data == MINI or is_simulated(Path(arguments.data))


def find_named(root: Path, arguments: argparse.Namespace) -> Layout:
    """Find the generators that --generators names, or all, under a root.

    Raises:
        ValueError: If one is missing.
    """
    mapping = read_yaml(arguments.layout) if arguments.layout else None
    names = [name.strip() for name in arguments.generators.split(",")] if arguments.generators else None
    layout = find_layout(root, names, mapping=mapping, follow_links=arguments.follow_links)
    layout.require(names or (), splits=())
    return layout


def all_there(
    layout: Layout,
    names: Sequence[str],
    split: str,
    usual: int,
    console: Console,
    *,
    real_size: tuple[int, int] | None = None,
) -> int:
    """As many images of each class as every generator has, up to the usual number; says so if it is less.

    Raises:
        ValueError: If a class is missing or has fewer than 2.
    """
    layout.require(names, (split,))
    count = count_images(layout, names, split, usual, real_size)
    require(count >= 2, "images of each class", count, "at least 2; add images or leave generators out")
    if count < usual:
        console.print(f"{count} images of each class: the fewest that one of the generators has")
    return count


def printable(text: str) -> str:
    """Replace what a terminal would take as a command, in names of files for instance."""
    return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)


@contextmanager
def progress(console: Console, text: str) -> Iterator[Report]:
    """Show a bar on a terminal and nothing elsewhere; yields what is to be called with done and total."""
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(text, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
