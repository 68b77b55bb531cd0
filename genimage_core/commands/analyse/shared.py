"""What the analyses share: the table, the command on record, numbers in words."""

import argparse
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from genimage_core.data.batches import ImageSet
from genimage_core.data.images import count_images
from genimage_core.data.layout import Layout
from genimage_core.data.mini_card import is_simulated
from genimage_core.data.recipe import digest
from genimage_core.settings import require

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEST_IMAGES = 500  # of each class and generator, where there are as many
POSITIONAL = ("matrix", "checkpoint")


@dataclass(frozen=True)
class Findings:
    """What an analysis shows.

    Attributes:
        tables: To be printed, one below the other.
        notes: Sentences below them.
        rows: Of the CSV file, all with the same keys.
        figure: Written as SVG.
        record: All numbers, as JSON values.
    """

    tables: Sequence[Table]
    notes: Sequence[str]
    rows: Sequence[Mapping[str, object]]
    figure: "Figure"
    record: Mapping[str, Any]


def publish(name: str, found: Findings, arguments: argparse.Namespace, console: Console) -> None:
    """Print tables and notes, and write the folder: NAME.csv, NAME.json, NAME.svg."""
    from genimage_core.analysis import files

    for part in (*found.tables, *found.notes):
        console.print(part)
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    files.write_table(out / f"{name}.csv", found.rows)
    files.write_figure(out / f"{name}.svg", found.figure)
    content = {"notes": list(found.notes), **found.record}
    files.write_record(out / f"{name}.json", full_command(arguments), content)
    console.print(f"folder {out}")


def data_record(sets: Sequence[ImageSet], layout: Layout, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return which images were read and how, as JSON values."""
    return {
        "fingerprint": digest([images.fingerprint for images in sets]),
        "root": str(layout.root),
        "simulated": is_simulated(layout.root),
        "layout": layout.kind,
        "image_size": arguments.image_size,
        "format_alignment": arguments.alignment,
        "crop": arguments.crop,
        "left_out": [f"{bad.path}: {bad.reason}" for images in sets for bad in images.bad],
    }


def new_folder(text: str) -> Path:
    """Read the folder to write: refused before the work if a file is there."""
    path = Path(text)
    if path.exists() and not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a file, a folder is to be written")
    return path


def add_out(parser: argparse.ArgumentParser) -> None:
    """Declare the folder that an analysis writes."""
    parser.add_argument("--out", type=new_folder, required=True, metavar="DIR", help="folder to write")


def read_numbers(option: str, text: str, least: int) -> tuple[int, ...]:
    """Read whole numbers separated by commas, sorted, each once.

    Raises:
        ValueError: If something else stands there, or a number below `least`.
    """
    words = [word.strip() for word in text.split(",")]
    allowed = f"whole numbers of at least {least}, separated by commas"
    require(all(word.isdecimal() for word in words), option, text, allowed)
    numbers = tuple(sorted({int(word) for word in words}))
    require(numbers[0] >= least, option, text, allowed)
    return numbers


def count_tests(
    option: str,
    asked: int | None,
    roots: Sequence[tuple[Layout, Sequence[str]]],
    real_size: tuple[int, int] | None = None,
) -> int:
    """Return how many validation images of each class are tested: what was asked for, else what there is.

    Args:
        option: What asks for them.
        asked: How many were asked for.
        roots: Where they are, and the generators of each.
        real_size: Shortest and longest side of the reals that count.

    Raises:
        ValueError: If some generator of some root has fewer than were asked for, or than two.
    """
    at_most = asked or TEST_IMAGES
    there = min(count_images(layout, names, "val", at_most, real_size) for layout, names in roots)
    count = there if asked is None else asked
    require(
        2 <= count <= there, option, count, f"at least 2 and at most {there}: so many every generator has"
    )
    return count


def make_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> Table:
    """Lay cells out, the first column to the left and numbers to the right."""
    table = Table(title=title, caption=caption or None)
    for place, name in enumerate(head):
        table.add_column(name, justify="right" if place else "left")
    for row in rows:
        table.add_row(*row)
    return table


def full_command(arguments: argparse.Namespace) -> str:
    """Return the call with every value spelt out, defaults too: it gives the same again."""
    words = ["python", "-m", "genimage_core", arguments.command, arguments.action]
    for name, value in vars(arguments).items():
        if name in POSITIONAL:
            words.append(str(value))
        elif name not in ("command", "action", "run") and value is not None and value is not False:
            option = f"--{name.replace('_', '-')}"
            words += [option] if value is True else [option, str(value)]
    return shlex.join(words)
