"""`python -m genimage_core analyse generators`: which generators are related, by a matrix."""

import argparse
from pathlib import Path

from rich.console import Console

from genimage_core.commands.analyse.shared import add_out, full_command, make_table
from genimage_core.commands.files import read_json
from genimage_core.data.recipe import digest
from genimage_core.generators import GENIMAGE
from genimage_core.settings import require

THRESHOLD = 0.9  # detectors transfer at 90 % balanced accuracy, on average over both ways


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.set_defaults(run=run)
    parser.add_argument("matrix", type=Path, metavar="MATRIX_JSON", help="rows, columns, accuracy")
    parser.add_argument(
        "--threshold", type=float, default=THRESHOLD, metavar="X", help="similarity within a family (0.9)"
    )
    add_out(parser)


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Cluster the generators of a matrix, print families and differences, write the folder."""
    from genimage_core.analysis import files, relatedness_figure, relatedness_wording
    from genimage_core.relatedness import read_matrix, relate

    content, threshold, out = read_json(arguments.matrix), arguments.threshold, arguments.out
    try:
        matrix, simulated = read_matrix(content), content.get("simulated")
        allowed = "true, false or left out"
        require(simulated is None or isinstance(simulated, bool), "simulated", simulated, allowed)
    except ValueError as error:
        raise ValueError(f"{arguments.matrix}: {error}") from error
    found = relate(matrix, threshold)
    what = "SIMULATED generators" if simulated else "generators"
    title = f"Related {what}, families from similarity {threshold:g}"
    rows = relatedness_wording.rows(found, GENIMAGE)
    console.print(make_table(title, relatedness_wording.HEAD, [[*map(str, row.values())] for row in rows]))
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
        out / "generators.json", full_command(arguments), {"matrix": source, "notes": notes} | numbers
    )
    console.print(f"folder {out}")
