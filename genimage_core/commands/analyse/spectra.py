"""`python -m genimage_core analyse spectra`: mean spectra of reals and fakes, and how far apart they are."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich.console import Console

from genimage_core.cache import cache_folder
from genimage_core.commands.analyse.shared import add_out, full_command, make_table
from genimage_core.commands.files import add_data, all_there, open_layout, progress
from genimage_core.commands.learning import add_bad_share
from genimage_core.data.layout import SPLITS, Layout
from genimage_core.data.mini_card import is_simulated
from genimage_core.data.recipe import digest
from genimage_core.settings import ALIGNMENTS, DataSettings, require

if TYPE_CHECKING:
    from genimage_core.analysis.measure import GeneratorSpectra

PER_CLASS = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.set_defaults(run=run)
    add_data(parser)
    parser.add_argument(
        "--per-class", type=int, metavar="N", help=f"images each ({PER_CLASS}, or all where there are fewer)"
    )
    parser.add_argument("--image-size", type=int, default=224, metavar="N", help="side in pixels (224)")
    parser.add_argument("--alignment", default="none", help=f"{', '.join(ALIGNMENTS)} (none)")
    add_bad_share(parser)
    parser.add_argument("--split", choices=SPLITS, default="val", help="whose images (val)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of choice and intervals (0)")
    add_out(parser)


def run(arguments: argparse.Namespace, console: Console) -> None:
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

    title = spectra_wording.title(arguments.split, arguments.alignment, simulated=is_simulated(layout.root))
    notes = spectra_wording.notes(found, arguments.alignment, arguments.image_size)
    rows = [spectra_wording.cells(one) for one in found]
    console.print(make_table(title, spectra_wording.HEAD, rows, spectra_wording.CAPTION))
    for note in notes:
        console.print(note)
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    files.write_table(out / "spectra.csv", [spectra_wording.row(one) for one in found])
    np.save(out / "planes.npy", np.stack([one.plane for one in found]))
    files.write_figure(out / "radial.svg", spectra_figures.radial_figure(found, title))
    files.write_figure(out / "planes.svg", spectra_figures.plane_figure(found, title))
    data = _data_record([one.fingerprint for one in found], layout, arguments)
    files.write_record(
        out / "spectra.json", full_command(arguments), data | spectra_wording.record(found, notes)
    )
    console.print(f"folder {out}")


def _data_record(
    fingerprints: Sequence[str], layout: Layout, arguments: argparse.Namespace
) -> dict[str, Any]:
    return {
        "seed": arguments.seed,
        "data": {
            "fingerprint": digest(list(fingerprints)),
            "root": str(layout.root),
            "simulated": is_simulated(layout.root),
            "layout": layout.kind,
            "split": arguments.split,
            "per_class": arguments.per_class,
            "image_size": arguments.image_size,
            "format_alignment": arguments.alignment,
        },
    }
