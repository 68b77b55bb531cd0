"""`python -m genimage_core data …`: the embedded data set; index, audit and clean-up of images on a disk."""

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pandas as pd
from pydantic import ByteSize, Field, TypeAdapter, ValidationError
from rich.console import Console

from genimage_core.cache import cache_folder
from genimage_core.commands.files import find_named, printable, progress
from genimage_core.data.layout import Layout, list_images
from genimage_core.data.mini import MiniSettings, ensure_mini
from genimage_core.data.recipe import digest
from genimage_core.settings import ALIGNMENTS, require

SHOWN = 20  # rows of a long list


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions and their arguments."""
    actions = parser.add_subparsers(dest="action", required=True)
    mini = actions.add_parser("mini", help="make the embedded, simulated data set, and print where it is")
    mini.set_defaults(run=make_mini)
    _add_measure_mini(actions.add_parser("measure-mini", help="measure the embedded data set (15 minutes)"))
    _add_index(actions.add_parser("index", help="list every image of a data root with what its file tells"))
    _add_audit(actions.add_parser("audit", help="could a cheap shortcut tell real from fake here?"))
    _add_clean(actions.add_parser("clean-cache", help="remove the decoded images that were not used longest"))


def _add_measure_mini(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=measure_mini)
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="detectors per generator (3)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="JSON file to write")


def _add_root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("root", type=Path, metavar="ROOT", help="data root: what you unzipped")
    parser.add_argument("--generators", metavar="A,B", help="only these; others are not touched")
    parser.add_argument("--layout", type=Path, metavar="FILE", help="mapping (YAML) for a tree of your own")
    parser.add_argument("--follow-links", action="store_true", help="follow links that lead out of ROOT")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, metavar="N", help="processes")
    parser.add_argument("--index", type=Path, metavar="DIR", help="where the index is kept (in the cache)")


def _add_index(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=make_index)
    _add_root(parser)
    parser.add_argument(
        "--near", type=int, metavar="BITS", help="also look for near-duplicates, up to BITS of 64 apart"
    )


def _add_audit(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=make_audit)
    _add_root(parser)
    parser.add_argument("--alignment", default="none", help="format alignment to judge beside the raw files")
    parser.add_argument("--out", type=Path, default=Path("audit"), metavar="DIR", help="page (audit/)")


def _add_clean(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=clean)
    parser.add_argument(
        "--keep", required=True, metavar="SIZE", help="how much may stay, e.g. 20GB; 0 for none"
    )


def make_mini(arguments: argparse.Namespace, console: Console) -> None:
    """Make the embedded data set if it is not there, and print where it is."""
    with progress(console, "making the embedded data set") as report:
        root = ensure_mini(cache_folder(), MiniSettings(), report)
    console.print(str(root))


def measure_mini(arguments: argparse.Namespace, console: Console) -> None:
    """Measure the cross-generator matrix and the shortcut check of the embedded data set."""
    import torch

    from genimage_core.measure_mini import measure

    if arguments.seeds < 1:
        raise ValueError(f"--seeds must be at least 1, got {arguments.seeds}")
    torch.set_num_threads(1)  # sums in one order: the same numbers again
    command = f"python -m genimage_core data measure-mini --seeds {arguments.seeds} --out {arguments.out}"
    record = measure(cache_folder(), range(arguments.seeds), command, console.print)
    arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def make_index(arguments: argparse.Namespace, console: Console) -> None:
    """Index a root, and print what was found, what is bad, and what train and val share."""
    from genimage_core.data.index import read_index, scan_index
    from genimage_core.data.leaks import check_near, exact_leaks, near_leaks
    from genimage_core.data.quarantine import bad_files, tally

    if arguments.near is not None:
        check_near(arguments.near)
    layout, target = _index(arguments, console)

    def parts() -> Iterator[pd.DataFrame]:
        return scan_index(
            target, ("path", "generator", "split", "label", "content", "error"), layout.generators
        )

    counts = tally(parts())
    console.print(counts.loc[:, (counts != 0).any()].to_string())
    bad = pd.concat([bad_files(part)[["path", "error"]] for part in parts()])
    _list(console, "files that do not decode (training leaves them out)", bad, len(bad))
    leaks = exact_leaks(parts, SHOWN)
    _list(console, "files whose bytes stand in both splits or under both labels", leaks.rows, leaks.files)
    if arguments.near is not None:
        table = read_index(target, ("path", "generator", "split", "label", "error"), layout.generators)
        with progress(console, "comparing") as report:
            options = {"distance": arguments.near, "workers": arguments.workers, "report": report}
            near = near_leaks(table, arguments.root, **options)
        _list(console, f"val images within {arguments.near} bits of a train image", near, len(near))
    console.print(f"index {target}")


def _list(console: Console, title: str, rows: pd.DataFrame, count: int) -> None:
    console.print(f"\n{count} {title}{':' if count else ''}")
    if count:
        console.print(printable(rows.head(SHOWN).to_string(index=False)))
    if count > SHOWN:
        console.print(f"… and {count - SHOWN} more; the index in Parquet has all files")


def make_audit(arguments: argparse.Namespace, console: Console) -> None:
    """Index a root, audit it, print the verdict and write the page."""
    from genimage_core.data.audit import COLUMNS, audit
    from genimage_core.data.audit_page import write_page
    from genimage_core.data.index import read_compact

    require(arguments.alignment in ALIGNMENTS, "--alignment", arguments.alignment, ", ".join(ALIGNMENTS))
    arguments.out.mkdir(parents=True, exist_ok=True)
    layout, target = _index(arguments, console)
    table = read_compact(target, COLUMNS, layout.generators)
    result = audit(table, alignment=arguments.alignment)
    for sentence in result.sentences:
        console.print(sentence)
    console.print(f"page {write_page(result, table, arguments.out)}")


def clean(arguments: argparse.Namespace, console: Console) -> None:
    """Remove decoded sets, least recently used first, until no more than --keep is left."""
    from genimage_core.data.cache_cleanup import clean_cache, list_sets
    from genimage_core.data.decoding import readable

    try:
        keep = TypeAdapter(Annotated[ByteSize, Field(ge=0)]).validate_python(arguments.keep)
    except ValidationError:
        raise ValueError(f"--keep must be a size such as 20GB or 500MiB, got {arguments.keep!r}") from None
    removed = clean_cache(cache_folder(), int(keep))
    for cached in removed:
        console.print(f"removed {cached.title}: {readable(cached.bytes)} in {cached.folder}")
    left = sum(cached.bytes for cached in list_sets(cache_folder()))
    console.print(f"{len(removed)} decoded sets removed, {readable(left)} left in {cache_folder()}")


def _index(arguments: argparse.Namespace, console: Console) -> tuple[Layout, Path]:
    """Bring the index of a root up to date; what it lists, and where it is.

    Raises:
        ValueError: If there is not one image.
    """
    from genimage_core.data.index import build_index

    if arguments.workers < 1:
        raise ValueError(f"--workers must be at least 1, got {arguments.workers}")
    layout = find_named(arguments.root, arguments)
    target = arguments.index or cache_folder() / "index" / digest(str(layout.root))
    with progress(console, "indexing") as report:
        build_index(layout, target, workers=arguments.workers, report=report)
    if not any(True for place in layout.places for _ in list_images(place, layout)):
        raise ValueError(f"the folders of {', '.join(layout.generators)} under {layout.root} hold no image")
    return layout, target
