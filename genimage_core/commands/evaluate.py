"""`python -m genimage_core evaluate CHECKPOINT… --data ROOT`: scores of saved detectors, by generator."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from genimage_core.baseline_tables import Cell, describe_cell
from genimage_core.cache import cache_folder
from genimage_core.commands.files import add_data, all_there, is_embedded, open_layout, progress
from genimage_core.commands.learning import add_bad_share
from genimage_core.data.batches import BadFile, ImageSet
from genimage_core.data.images import load_images
from genimage_core.data.layout import Layout
from genimage_core.detectors.info import CheckpointInfo
from genimage_core.intervals import Estimate
from genimage_core.settings import DataSettings, require

if TYPE_CHECKING:
    from torch import nn

PER_CLASS = 500
METRICS = {
    "accuracy": "balanced accuracy",
    "real_accuracy": "on real",
    "fake_accuracy": "on fake",
    "average_precision": "AP",
    "auroc": "AUROC",
}
CAPTION = (
    "[95 % intervals over the choice of images; AP and AUROC resampled, no width where all is ranked right]"
)
TRACKS = {"raw": "none", "fakes at 96": "jpeg96", "both at 96": "jpeg96_both"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.set_defaults(run=run)
    parser.add_argument("checkpoints", type=Path, nargs="+", metavar="CHECKPOINT", help="safetensors files")
    add_data(parser)
    parser.add_argument(
        "--ensemble", action="store_true", help="also the mean of their logits, as a detector of its own"
    )
    parser.add_argument(
        "--per-class", type=int, metavar="N", help=f"images each ({PER_CLASS}, or all where there are fewer)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the choice of images (0)")
    parser.add_argument(
        "--tracks",
        action="store_true",
        help="raw, fakes re-encoded at quality 96, both re-encoded, side by side",
    )
    add_bad_share(parser)
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the numbers as JSON")


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Score every checkpoint on every generator and print a table for each."""
    from genimage_core.detectors.ensemble import describe_ensemble

    given = arguments.per_class
    require(given is None or given >= 2, "--per-class", given, "at least 2")
    infos = {name: (paths, describe_ensemble(paths)) for name, paths in _named(arguments).items()}
    layout, simulated, record = open_layout(arguments, console), is_embedded(arguments), {}
    for name, (paths, info) in infos.items():
        rows = _score(paths, info, layout, arguments, console)
        console.print(_table(_title(name, info, simulated=simulated), rows))
        facts = {"simulated": simulated, "trained_on_simulated": info.simulated}
        record[name] = {
            track: {generator: _flat(cell) | facts for generator, cell in row.items()}
            for track, row in rows.items()
        }
    if arguments.out:
        arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _named(arguments: argparse.Namespace) -> dict[str, list[Path]]:
    """What is scored: every checkpoint, and all of them as one if that is asked for."""
    named = {str(path): [path] for path in arguments.checkpoints}
    if arguments.ensemble and len(named) > 1:
        named[f"ensemble of {len(named)}"] = list(arguments.checkpoints)
    return named


def _score(
    paths: Sequence[Path],
    info: CheckpointInfo,
    layout: Layout,
    arguments: argparse.Namespace,
    console: Console,
) -> dict[str, dict[str, Cell]]:
    """Scores by track and generator, all on the same images."""
    import torch

    from genimage_core.detectors.ensemble import load_ensemble

    detector = load_ensemble(paths).to("cuda" if torch.cuda.is_available() else "cpu")
    tracks = TRACKS if arguments.tracks else {info.format_alignment: info.format_alignment}
    generators = sorted({place.generator for place in layout.places if place.split == "val"})
    per_class = arguments.per_class or all_there(
        layout, generators, "val", PER_CLASS, console, real_size=info.real_size
    )
    settings = settings_of(info, per_class, arguments)
    rows = {}
    for track, alignment in tracks.items():
        aligned = replace(settings, format_alignment=alignment)
        sets = {}
        for name in generators:
            with progress(console, f"decoding {name}, {track}") as report:
                sets[name] = load_images(
                    layout, name, "val", aligned, arguments.seed, cache_folder(), report=report
                )
            _list_bad(sets[name].bad, console)
        rows[track] = {name: _cell(detector, name, data, arguments.seed) for name, data in sets.items()}
    return rows


def settings_of(info: CheckpointInfo, per_class: int, arguments: argparse.Namespace) -> DataSettings:
    """Return how validation images are read for a detector: as in its training."""
    return DataSettings(
        image_size=info.image_size,
        val_per_class=per_class,
        format_alignment=info.format_alignment,
        crop="resize" if info.crop == "resize" else "centre",  # the centre of `random` is that of `centre`
        follow_links=arguments.follow_links,
        real_size=info.real_size,
        max_bad_share=arguments.max_bad_share,
    )


def _cell(detector: "nn.Module", name: str, data: ImageSet, seed: int) -> Cell:
    from genimage_core.evaluation import predict

    try:
        return describe_cell(predict(detector, data), data.labels, seed)
    except ValueError as error:
        raise ValueError(f"evaluation on {name}: {error}") from error


def _list_bad(bad: Sequence[BadFile], console: Console) -> None:
    for file in bad:
        console.print(f"left out: {file.generator} {file.split}: {file.path}: {file.reason}")


def _flat(cell: Cell) -> dict[str, Any]:
    """Every value under its name, the ends of its interval beside it."""
    flat: dict[str, Any] = {"images": cell.images}
    for key in METRICS:
        found = getattr(cell, key)
        flat |= {key: found.value, f"{key}_low": found.low, f"{key}_high": found.high}
    return flat


def _title(name: str, info: CheckpointInfo, *, simulated: bool) -> str:
    training = "SIMULATED " if info.simulated else ""
    tests = "; tested on SIMULATED images" if simulated else ""
    return f"{name}: trained on {training}{', '.join(info.generators)}{tests}"


def _table(title: str, rows: Mapping[str, Mapping[str, Cell]]) -> Table:
    table = Table(title=title, caption=CAPTION)
    table.add_column("generator")
    table.add_column("")
    for track in rows:
        table.add_column(track, justify="right")
    for name in next(iter(rows.values())):
        for place, (key, head) in enumerate(METRICS.items()):
            shown = (_shown(getattr(row[name], key)) for row in rows.values())
            table.add_row("" if place else name, head, *shown, end_section=place == len(METRICS) - 1)
    return table


def _shown(found: Estimate) -> str:
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"
