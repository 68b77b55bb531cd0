"""How a benchmark shows what it found: a table for people, JSON for everything else."""

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

SHORT = 8  # values that fit into a cell


def publish(result: Mapping[str, Any], out: Path | None = None) -> None:
    """Print a table to stderr and the whole as JSON to stdout; write the JSON to `out`."""
    Console(stderr=True).print(tabulate(result))
    text = json.dumps(result, indent=1)
    print(text)
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text + "\n", encoding="utf-8")


def tabulate(result: Mapping[str, Any]) -> Table:
    """A row for every number or text, named by the keys that lead to it."""
    table = Table(show_header=False)
    for _ in range(2):
        table.add_column(overflow="fold")
    for name, value in rows(result):
        table.add_row(name, value)
    return table


def quartiles(values: Sequence[float]) -> dict[str, float]:
    """Median, and the quarters beside it."""
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": round(median, 4), "q1": round(low, 4), "q3": round(high, 4)}


def rows(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Names and values; lists of plain values as one row, long ones as how many there are."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from rows(inner, (*path, str(key)))
    elif not isinstance(value, list | tuple):
        yield ", ".join(path), _cell(value)
    elif any(isinstance(inner, Mapping) for inner in value):
        for number, inner in enumerate(value, 1):
            yield from rows(inner, (*path, str(number)))
    else:
        listed = ", ".join(map(_cell, value)) if len(value) <= SHORT else f"{len(value)} values"
        yield ", ".join(path), listed


def _cell(value: Any) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else str(value)
