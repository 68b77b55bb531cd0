"""The folder of a comparison: settings that claim it, results, scores and tables."""

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from genimage_core.commands.baseline_print import write_markdown
from genimage_core.commands.files import read_json
from genimage_core.data.index_parts import write_atomically

SETTINGS, RESULTS, SCORES, TABLES = "settings.json", "results.json", "scores.csv", "tables.md"
FIXED = ("train_on", "base", "base_content", "seed", "data", "images", "generators")
BY_DETECTOR = ("training", "commands")


def claim(out: Path, described: Mapping[str, Any]) -> dict[str, Any]:
    """Write the settings down beside those of detectors that an earlier call left here; return all of them.

    Raises:
        ValueError: Naming what differs, where the folder holds the results of others.
    """
    path = out / SETTINGS
    settings: dict[str, Any] = json.loads(json.dumps(described))
    if path.exists():
        before = _read_settings(path)
        _require_same(out, before, settings)
        settings |= {key: {**before.get(key, {}), **settings[key]} for key in BY_DETECTOR}
    out.mkdir(parents=True, exist_ok=True)
    _write_json(path, settings)
    return settings


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        before = read_json(path)
        if not all(isinstance(before.get(key, {}), dict) for key in BY_DETECTOR) or "training" not in before:
            raise ValueError(f"{path} does not hold the settings of a comparison")
    except ValueError as error:
        raise ValueError(f"{error}; choose another --out, or remove {path.parent} to begin anew") from error
    return before


def _require_same(out: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    for key in FIXED:
        if before.get(key) != now[key]:
            raise ValueError(
                f"{out} holds results with {key} {before.get(key)!r}, asked for now: {now[key]!r}; "
                "choose another --out"
            )
    for name in set(before["training"]) & set(now["training"]):
        if before["training"][name] != now["training"][name]:
            raise ValueError(f"{out} holds {name} with other training settings; choose another --out")


def write_results(out: Path, results: Mapping[str, Any]) -> None:
    """Write all numbers, a matrix for each detector, scores and tables; every file is whole at any time."""
    _write_json(out / RESULTS, results)
    scores = pd.json_normalize(list(_scores(results)), sep="_").to_csv(index=False)
    write_atomically(out / SCORES, scores.encode())
    for name, described in results["detectors"].items():
        matrix = {**_bare_matrix(described), "simulated": results["settings"]["simulated"]}
        _write_json(out / f"matrix_{name}.json", matrix)
    tables = io.StringIO()
    write_markdown(results, tables)
    write_atomically(out / TABLES, tables.getvalue().encode())


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())


def _bare_matrix(described: Mapping[str, Any]) -> dict[str, Any]:
    """What `analyse generators` reads."""
    matrix, columns = described["matrix"], list(described["columns"])
    accuracy = [[row[name]["accuracy"]["value"] for name in columns] for row in matrix.values()]
    return {"rows": list(matrix), "columns": columns, "accuracy": accuracy}


def _scores(results: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One row per cell of task 1 (by generator) and of task 2 (by degradation of its own generators)."""
    for detector, described in results["detectors"].items():
        for task, key, rows in (
            (1, "generator", described["matrix"]),
            (2, "degradation", {fold: found["cells"] for fold, found in described["degraded"].items()}),
        ):
            for fold, row in rows.items():
                for name, cell in row.items():
                    where = {"generator": None, "degradation": None, key: name}
                    yield {"task": task, "detector": detector, "fold": fold, **where, **cell}
