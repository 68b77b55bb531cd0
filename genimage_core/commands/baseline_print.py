"""Tables of a comparison for the terminal and for Markdown."""

import io
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TextIO

from rich import box
from rich.console import Console
from rich.table import Table

from genimage_core.baseline_tables import MEANS, RANKED
from genimage_core.degrade import DEGRADATIONS

NONE = "–"  # where there is nothing to be averaged
MARKDOWN_WIDTH = 1000  # characters, so that no line is folded
HEADS = dict(zip(RANKED, ("on real", "on fake", "AP", "AUROC"), strict=True))
INTERVALS = "[95 % interval over the choice of test images; of one training]"
OUTWARDS = f"{INTERVALS}; ends in whole per cent are rounded outwards, scores.csv has them in full."


@dataclass(frozen=True)
class Titled:
    """A table with what stands above and below it."""

    title: str
    table: Table
    note: str


def print_tables(name: str, results: Mapping[str, Any], console: Console) -> None:
    """Print the tables of one detector on a terminal."""
    console.print(f"\n{_protocol(name, results['settings'])}")
    for titled in _tables(name, results["detectors"][name], results["settings"]):
        console.print(f"\n{titled.title}", style="bold")
        console.print(titled.table)
        console.print(titled.note)


def write_markdown(results: Mapping[str, Any], file: TextIO) -> None:
    """Write all tables as Markdown; names of folders stay text, whatever they hold."""
    text = io.StringIO()
    console = Console(file=text, width=MARKDOWN_WIDTH, highlight=False, markup=False)
    for name, described in results["detectors"].items():
        console.print(f"## {name}\n\n{_protocol(name, results['settings'])}\n")
        for titled in _tables(name, described, results["settings"]):
            console.print(f"### {titled.title}\n")
            console.print(titled.table)
            console.print(f"\n{titled.note}\n")
    file.write(text.getvalue().replace("&", "&amp;").replace("<", "&lt;"))


def _protocol(name: str, settings: Mapping[str, Any]) -> str:
    """What was measured here and how, in one sentence."""
    data, training = settings["data"], settings["training"][name]
    images = "SIMULATED images" if settings["simulated"] else "images"
    base = f"{settings['base']}{' (trained on SIMULATED images)' if settings['simulated_base'] else ''}"
    return (
        f"Measured here: {name} at {data['image_size']} px, base {base}, "
        f"train_on {settings['train_on']}, {training['epochs']} epochs on {data['train_per_class']} {images} "
        f"per generator and class, tested on {data['val_per_class']}; crop {data['crop']}, "
        f"format_alignment {data['format_alignment']}, seed {settings['seed']}."
    )


def _tables(name: str, described: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[Titled]:
    what = "SIMULATED images, " if settings["simulated"] else ""
    what += f"format_alignment {settings['data']['format_alignment']}"
    yield Titled(f"{name}: balanced accuracy, % ({what})", _matrix(described), _notes(described))
    ranked = f"{name}: mean over the generators it was not trained on, % ({what})"
    note = f"{INTERVALS}; those of AP and AUROC are resampled: without width where a ranking is perfect."
    yield Titled(ranked, _ranked(described), note)
    degraded = f"{name}: degraded test images of its own generator, balanced accuracy, % ({what})"
    yield Titled(degraded, _degraded(described), _degraded_notes(described))


def _table(first: str, columns: Iterable[str]) -> Table:
    table = Table(box=box.MARKDOWN, show_edge=True)
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _notes(described: Mapping[str, Any]) -> str:
    meanings = "; ".join(f"{kind}: mean over {meaning}" for kind, meaning in MEANS.items())
    notes = [f"{meanings}. {OUTWARDS}"]
    for row in described["published"]:
        known = f"; {row['note']}" if row["note"] else ""
        notes.append(f"{row['source']}, {row['trained_on']}: {row['protocol']}{known}.")
    return "\n".join(notes)


def _degraded_notes(described: Mapping[str, Any]) -> str:
    published = [found["published"] for found in described["degraded"].values() if found["published"]]
    said = (
        "Mean: over the degradations. Low resolutions are of 224 pixels, other sizes by the same factor. "
        f"{OUTWARDS}"
    )
    return "\n".join([said, *dict.fromkeys(f"{row['source']}: {row['note']}." for row in published)])


def _matrix(described: Mapping[str, Any]) -> Table:
    matrix = described["matrix"]
    generators = list(described["columns"])
    table = _table("trained on", (*generators, *MEANS))
    for fold, row in matrix.items():
        cells = (_cell(row[name]["accuracy"]) for name in generators)
        table.add_row(fold, *cells, *_intervals(described["rows"][fold]))
    table.add_row("mean", *map(_cell, described["columns"].values()), *_intervals(described["means"]))
    for row in described["published"]:
        for label, kind in (
            (f"{row['source']}: {row['trained_on']}", "published"),
            ("difference", "difference"),
        ):
            table.add_row(label, *_published_cells(row[kind], generators, signed=kind == "difference"))
    return table


def _published_cells(values: Mapping[str, float], generators: Iterable[str], *, signed: bool) -> list[str]:
    return [
        *(_per_cent(values[name], signed=signed) if name in values else "" for name in generators),
        _per_cent(values["mean"], signed=signed),
        _per_cent(values["elsewhere"], signed=signed) if "elsewhere" in values else "",
        "",
    ]


def _ranked(described: Mapping[str, Any]) -> Table:
    table = _table("trained on", HEADS.values())
    for fold, means in described["elsewhere"].items():
        table.add_row(fold, *(_interval(means[key] if means else None) for key in HEADS))
    return table


def _degraded(described: Mapping[str, Any]) -> Table:
    table = _table("trained on", ("unchanged", *DEGRADATIONS, "mean"))
    for fold, found in described["degraded"].items():
        ours = {kind: found["cells"][kind]["accuracy"] for kind in ("unchanged", *DEGRADATIONS)}
        table.add_row(fold, *map(_cell, ours.values()), _interval(found["mean"]))
        if published := found["published"]:
            theirs = {**published["accuracy"], "mean": published["mean"]}
            both = {**ours, "mean": found["mean"]}
            table.add_row(published["source"], "", *map(_per_cent, theirs.values()))
            differences = (
                _per_cent(both[kind]["value"] - value, signed=True) for kind, value in theirs.items()
            )
            table.add_row("difference", "", *differences)
    return table


def _per_cent(value: float, *, signed: bool = False) -> str:
    return f"{100 * value:+.1f}" if signed else f"{100 * value:.1f}"


def _cell(found: Mapping[str, float]) -> str:
    """Compact: the interval in whole per cent, rounded outwards so that it holds the value."""
    low, high = math.floor(100 * found["low"] + 1e-9), math.ceil(100 * found["high"] - 1e-9)
    return f"{_per_cent(found['value'])} [{low}, {high}]"


def _intervals(means: Mapping[str, Mapping[str, float] | None]) -> list[str]:
    return [_interval(means[kind]) for kind in MEANS]


def _interval(found: Mapping[str, float] | None) -> str:
    if found is None:
        return NONE
    low, high = (_per_cent(found[end]) for end in ("low", "high"))
    return f"{_per_cent(found['value'])} [{low}, {high}]"
