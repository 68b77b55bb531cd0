"""Tables of a comparison for the terminal and for Markdown."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any, TextIO

from rich import box
from rich.console import Console
from rich.table import Table

from genimage_core.baseline_tables import MEANS
from genimage_core.degrade import DEGRADATIONS

NONE = "–"  # where there is nothing to be averaged
MARKDOWN_WIDTH = 1000  # characters, so that no line is folded
RANKED = {"real_accuracy": "on real", "fake_accuracy": "on fake", "average_precision": "AP", "auroc": "AUROC"}


@dataclass(frozen=True)
class Titled:
    """A table with what stands above and below it."""

    title: str
    table: Table
    note: str


def print_tables(results: Mapping[str, Any], console: Console) -> None:
    """Print all tables on a terminal."""
    for titled in _tables(results):
        console.print(f"\n{titled.title}", style="bold")
        console.print(titled.table)
        console.print(titled.note)


def write_markdown(results: Mapping[str, Any], file: TextIO) -> None:
    """Write all tables as Markdown."""
    console = Console(file=file, width=MARKDOWN_WIDTH, highlight=False, markup=False)
    for titled in _tables(results):
        console.print(f"### {titled.title}\n")
        console.print(titled.table)
        console.print(f"\n{titled.note}\n")


def _tables(results: Mapping[str, Any]) -> Iterator[Titled]:
    settings = results["settings"]
    what = "SIMULATED images, " if settings["simulated"] else ""
    what += f"format_alignment {settings['data']['format_alignment']}"
    for name, described in results["detectors"].items():
        yield Titled(f"{name}: balanced accuracy, % ({what})", _matrix(described), _notes(described))
        ranked = f"{name}: mean over the generators it was not trained on, % ({what})"
        yield Titled(ranked, _ranked(described), "Every cell with its interval is in scores.csv.")
        degraded = f"{name}: degraded test images of its own generator, accuracy, % ({what})"
        note = (
            "Mean: over the degradations. Low resolutions are of 224 pixels, other sizes by the same factor."
        )
        yield Titled(degraded, _degraded(described), note)


def _table(first: str, columns: Iterable[str]) -> Table:
    table = Table(box=box.MARKDOWN, show_edge=True)
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _notes(described: Mapping[str, Any]) -> str:
    meanings = "; ".join(f"{kind}: mean over {meaning}" for kind, meaning in MEANS.items())
    notes = [f"{meanings}. [95 % interval over the choice of test images; of one training]"]
    for row in described["published"]:
        known = f"; {row['note']}" if row["note"] else ""
        notes.append(f"{row['source']}, {row['trained_on']}: {row['protocol']}{known}.")
    return "\n".join(notes)


def _matrix(described: Mapping[str, Any]) -> Table:
    matrix = described["matrix"]
    generators = list(next(iter(matrix.values())))
    table = _table("trained on", (*generators, *MEANS))
    for fold, row in matrix.items():
        cells = (_per_cent(row[name]["accuracy"]["value"]) for name in generators)
        table.add_row(fold, *cells, *_intervals(described["rows"][fold]))
    tested = (fmean(row[name]["accuracy"]["value"] for row in matrix.values()) for name in generators)
    table.add_row("mean", *map(_per_cent, tested), *_intervals(described["means"]))
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
        "",
        "",
    ]


def _ranked(described: Mapping[str, Any]) -> Table:
    table = _table("trained on", RANKED.values())
    for fold, row in described["matrix"].items():
        others = [cell for name, cell in row.items() if name in described["elsewhere"][fold]]
        means = (_per_cent(fmean(c[key]["value"] for c in others)) if others else NONE for key in RANKED)
        table.add_row(fold, *means)
    return table


def _degraded(described: Mapping[str, Any]) -> Table:
    table = _table("trained on", ("unchanged", *DEGRADATIONS, "mean"))
    for fold, found in described["degraded"].items():
        ours = {kind: found["accuracy"][kind]["value"] for kind in DEGRADATIONS}
        mean = fmean(ours.values())
        cells = (_interval(found["accuracy"][kind]) for kind in ("unchanged", *DEGRADATIONS))
        table.add_row(fold, *cells, _per_cent(mean))
        if published := found["published"]:
            theirs = {**published["accuracy"], "mean": published["mean"]}
            both = {**ours, "mean": mean}
            table.add_row(published["source"], "", *map(_per_cent, theirs.values()))
            differences = (_per_cent(both[kind] - value, signed=True) for kind, value in theirs.items())
            table.add_row("difference", "", *differences)
    return table


def _per_cent(value: float, *, signed: bool = False) -> str:
    return f"{100 * value:+.1f}" if signed else f"{100 * value:.1f}"


def _intervals(means: Mapping[str, Mapping[str, float] | None]) -> list[str]:
    return [_interval(means[kind]) for kind in MEANS]


def _interval(found: Mapping[str, float] | None) -> str:
    if found is None:
        return NONE
    low, high = (_per_cent(found[end]) for end in ("low", "high"))
    return f"{_per_cent(found['value'])} [{low}, {high}]"
