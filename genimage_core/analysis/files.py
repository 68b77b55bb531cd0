"""The folder that an analysis writes: table, numbers, figures."""

import csv
import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from genimage_core.data.audit_figures import STYLE, THEME

# A file of its own has no page behind it: a white ground, so that its dark text can be read anywhere.
OWN_STYLE = STYLE | {
    "svg.hashsalt": "analysis",
    "savefig.facecolor": "#ffffff",
    "ytick.color": THEME["muted"],
}
PACKAGES = ("numpy", "scipy", "torch", "pillow")


def write_table(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows with the same keys as CSV; at least one."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_record(path: Path, command: str, content: Mapping[str, Any]) -> None:
    """Write numbers as JSON, with the command that made them and the versions of what computed them.

    Raises:
        ValueError: If a number is not finite.
    """
    made = {"command": command, "versions": {name: version(name) for name in PACKAGES}}
    text = json.dumps(made | dict(content), indent=1, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def write_figure(path: Path, figure: Figure) -> None:
    """Write a figure as SVG: text stays text, and the same numbers give the same bytes."""
    empty = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with rc_context(OWN_STYLE):
        figure.savefig(path, format="svg", metadata=empty)
