"""`python -m genimage_core evaluate CHECKPOINT… --data ROOT`: scores of saved detectors, by generator."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from genimage_core.cache import cache_folder
from genimage_core.commands.files import add_data, open_layout, progress
from genimage_core.data.batches import BadFile
from genimage_core.data.layout import Layout
from genimage_core.detectors.info import CheckpointInfo
from genimage_core.metrics import Scores
from genimage_core.settings import DataSettings

TRACKS = {"raw": "none", "fakes at 96": "jpeg96", "both at 96": "jpeg96_both"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.set_defaults(run=run)
    parser.add_argument("checkpoints", type=Path, nargs="+", metavar="CHECKPOINT", help="safetensors files")
    add_data(parser)
    parser.add_argument(
        "--ensemble", action="store_true", help="also the mean of their logits, as a detector of its own"
    )
    parser.add_argument("--per-class", type=int, default=500, metavar="N", help="images each (500)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the choice of images (0)")
    parser.add_argument(
        "--tracks",
        action="store_true",
        help="raw, fakes re-encoded at quality 96, both re-encoded, side by side",
    )
    parser.add_argument(
        "--max-bad-share",
        type=float,
        default=0.01,
        metavar="X",
        help="share of a class that may be unreadable: data.max_bad_share (0.01)",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the numbers as JSON")


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Score every checkpoint on every generator and print a table for each."""
    from genimage_core.detectors.ensemble import describe_ensemble

    layout = open_layout(arguments, console)
    record = {}
    for name, paths in _named(arguments).items():
        info = describe_ensemble(paths)
        rows = _score(paths, info, layout, arguments, console)
        console.print(_table(f"{name}: trained on {', '.join(info.generators)}", rows))
        record[name] = {
            track: {generator: asdict(scores) for generator, scores in row.items()}
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
) -> dict[str, dict[str, Scores]]:
    """Scores by track and generator, all on the same images."""
    import torch

    from genimage_core.data.images import load_images
    from genimage_core.detectors.ensemble import load_ensemble
    from genimage_core.evaluation import evaluate

    detector = load_ensemble(paths).to("cuda" if torch.cuda.is_available() else "cpu")
    tracks = TRACKS if arguments.tracks else {info.format_alignment: info.format_alignment}
    generators = sorted({place.generator for place in layout.places if place.split == "val"})
    rows = {}
    settings = settings_of(info, arguments)
    for track, alignment in tracks.items():
        aligned = replace(settings, format_alignment=alignment)
        sets = {}
        for name in generators:
            with progress(console, f"decoding {name}, {track}") as report:
                sets[name] = load_images(
                    layout, name, "val", aligned, arguments.seed, cache_folder(), report=report
                )
            _list_bad(sets[name].bad, console)
        rows[track] = evaluate(detector, sets)
    return rows


def settings_of(info: CheckpointInfo, arguments: argparse.Namespace) -> DataSettings:
    """Return how validation images are read for a detector: as in its training."""
    return DataSettings(
        image_size=info.image_size,
        val_per_class=arguments.per_class,
        format_alignment=info.format_alignment,
        crop="resize" if info.crop == "resize" else "centre",  # the centre of `random` is that of `centre`
        follow_links=arguments.follow_links,
        real_size=info.real_size,
        max_bad_share=arguments.max_bad_share,
    )


def _list_bad(bad: Sequence[BadFile], console: Console) -> None:
    for file in bad:
        console.print(f"left out: {file.generator} {file.split}: {file.path}: {file.reason}")


def _table(title: str, rows: Mapping[str, Mapping[str, Scores]]) -> Table:
    table = Table(title=title, caption="balanced accuracy (on real / on fake images)")
    table.add_column("generator")
    for track in rows:
        table.add_column(track, justify="right")
    for name in next(iter(rows.values())):
        table.add_row(name, *(_cell(row[name]) for row in rows.values()))
    return table


def _cell(scores: Scores) -> str:
    return f"{scores.accuracy:.3f} ({scores.real_accuracy:.3f} / {scores.fake_accuracy:.3f})"
