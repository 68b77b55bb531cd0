"""`python -m genimage_core analyse …`: what spectra tell reals from fakes; which generators are related."""

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from genimage_core.cache import cache_folder
from genimage_core.commands.files import add_data, all_there, is_embedded, open_layout, progress, read_json
from genimage_core.data.layout import SPLITS, Layout
from genimage_core.data.recipe import digest
from genimage_core.generators import GENIMAGE
from genimage_core.settings import ALIGNMENTS, DataSettings, require

if TYPE_CHECKING:
    from genimage_core.analysis.measure import GeneratorSpectra

PER_CLASS = 200
THRESHOLD = 0.9  # detectors transfer at 90 % balanced accuracy, on average over both ways


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions and their arguments."""
    actions = parser.add_subparsers(dest="action", required=True)
    _add_spectra(
        actions.add_parser("spectra", help="mean spectra of reals and fakes, and how far apart they are")
    )
    _add_generators(actions.add_parser("generators", help="which generators are related, by a matrix"))


def _add_spectra(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=analyse_spectra)
    add_data(parser)
    parser.add_argument(
        "--per-class", type=int, metavar="N", help=f"images each ({PER_CLASS}, or all where there are fewer)"
    )
    parser.add_argument("--image-size", type=int, default=224, metavar="N", help="side in pixels (224)")
    parser.add_argument("--alignment", default="none", help=f"{', '.join(ALIGNMENTS)} (none)")
    parser.add_argument(
        "--max-bad-share",
        type=float,
        default=0.01,
        metavar="X",
        help="share of a class that may be unreadable: data.max_bad_share (0.01)",
    )
    parser.add_argument("--split", choices=SPLITS, default="val", help="whose images (val)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of choice and intervals (0)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")


def _add_generators(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=analyse_generators)
    parser.add_argument("matrix", type=Path, metavar="MATRIX_JSON", help="rows, columns, accuracy")
    parser.add_argument(
        "--threshold", type=float, default=THRESHOLD, metavar="X", help="similarity within a family (0.9)"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")


def analyse_spectra(arguments: argparse.Namespace, console: Console) -> None:
    """Measure every generator, print the table and its warnings, write the folder."""
    given = arguments.per_class
    require(given is None or given >= 2, "--per-class", given, "at least 2")
    require(arguments.seed >= 0, "--seed", arguments.seed, "at least 0")
    settings = DataSettings(
        image_size=arguments.image_size,
        format_alignment=arguments.alignment,
        follow_links=arguments.follow_links,
        max_bad_share=arguments.max_bad_share,
    )
    layout = open_layout(arguments, console)
    layout.require(layout.generators, (arguments.split,))
    if given is None:
        arguments.per_class = all_there(layout, layout.generators, arguments.split, PER_CLASS, console)
    counts = {f"{split}_per_class": arguments.per_class for split in SPLITS}
    found = _measure(layout, replace(settings, **counts), arguments, console)
    _write_spectra(found, layout, arguments, console)


def _measure(
    layout: Layout, settings: DataSettings, arguments: argparse.Namespace, console: Console
) -> "list[GeneratorSpectra]":
    import torch

    from genimage_core.analysis.measure import measure_spectra

    torch.set_num_threads(1)  # sums in one order: the same numbers again
    found = []
    with progress(console, "measuring spectra") as report:
        for done, name in enumerate(layout.generators):
            report(done, len(layout.generators))
            found.append(
                measure_spectra(layout, name, arguments.split, settings, arguments.seed, cache_folder())
            )
    return found


def _write_spectra(
    found: "Sequence[GeneratorSpectra]", layout: Layout, arguments: argparse.Namespace, console: Console
) -> None:
    import numpy as np

    from genimage_core.analysis import files, spectra_figures, spectra_wording

    title = spectra_wording.title(arguments.split, arguments.alignment, simulated=is_embedded(arguments))
    notes = spectra_wording.notes(found, arguments.alignment, arguments.image_size)
    rows = [spectra_wording.cells(one) for one in found]
    console.print(_table(title, spectra_wording.HEAD, rows, spectra_wording.CAPTION))
    for note in notes:
        console.print(note)
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    files.write_table(out / "spectra.csv", [spectra_wording.row(one) for one in found])
    np.save(out / "planes.npy", np.stack([one.plane for one in found]))
    files.write_figure(out / "radial.svg", spectra_figures.radial_figure(found, title))
    files.write_figure(out / "planes.svg", spectra_figures.plane_figure(found, title))
    data = _data_record([one.fingerprint for one in found], layout, arguments)
    files.write_record(out / "spectra.json", _command(arguments), data | spectra_wording.record(found, notes))
    console.print(f"folder {out}")


def _data_record(
    fingerprints: Sequence[str], layout: Layout, arguments: argparse.Namespace
) -> dict[str, Any]:
    return {
        "seed": arguments.seed,
        "data": {
            "fingerprint": digest(list(fingerprints)),
            "root": str(layout.root),
            "simulated": is_embedded(arguments),
            "layout": layout.kind,
            "split": arguments.split,
            "per_class": arguments.per_class,
            "image_size": arguments.image_size,
            "format_alignment": arguments.alignment,
        },
    }


def analyse_generators(arguments: argparse.Namespace, console: Console) -> None:
    """Cluster the generators of a matrix, print families and differences, write the folder."""
    from genimage_core.analysis import files, relatedness_figure, relatedness_wording
    from genimage_core.relatedness import read_matrix, relate

    content, threshold, out = read_json(arguments.matrix), arguments.threshold, arguments.out
    try:
        matrix, simulated = read_matrix(content), content.get("simulated")
        require(
            simulated is None or isinstance(simulated, bool),
            "simulated",
            simulated,
            "true, false or left out",
        )
    except ValueError as error:
        raise ValueError(f"{arguments.matrix}: {error}") from error
    found = relate(matrix, threshold)
    what = "SIMULATED generators" if simulated else "generators"
    title = f"Related {what}, families from similarity {threshold:g}"
    rows = relatedness_wording.rows(found, GENIMAGE)
    console.print(_table(title, relatedness_wording.HEAD, [[*map(str, row.values())] for row in rows]))
    notes = relatedness_wording.sentences(found, GENIMAGE, threshold)
    for note in notes:
        console.print(note)
    out.mkdir(parents=True, exist_ok=True)
    files.write_table(out / "generators.csv", rows)
    files.write_figure(out / "generators.svg", relatedness_figure.relatedness_figure(found, threshold, title))
    source = {
        "fingerprint": digest(content),
        "command": content.get("command"),
        "seeds": content.get("seeds"),
        "simulated": simulated,
    }
    numbers = relatedness_wording.record(found, GENIMAGE, threshold)
    files.write_record(
        out / "generators.json", _command(arguments), {"matrix": source, "notes": notes} | numbers
    )
    console.print(f"folder {out}")


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> Table:
    table = Table(title=title, caption=caption or None)
    for place, name in enumerate(head):
        table.add_column(name, justify="right" if place else "left")
    for row in rows:
        table.add_row(*row)
    return table


def _command(arguments: argparse.Namespace) -> str:
    """Return the call with every value spelt out, defaults too: it gives the same again."""
    words = ["python", "-m", "genimage_core", arguments.command, arguments.action]
    for name, value in vars(arguments).items():
        if name == "matrix":
            words.append(str(value))
        elif name not in ("command", "action", "run") and value is not None and value is not False:
            option = f"--{name.replace('_', '-')}"
            words += [option] if value is True else [option, str(value)]
    return shlex.join(words)
