"""Puts tables and figures on a page: one self-contained HTML file, Markdown and JSON."""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from reports import figures, views
from reports.augmentation import Augmentation, draw_sheet, draw_spectra, read_augmentation
from reports.course_pictures import draw_course
from reports.evidence_page import Finals, draw_differences, draw_expected_best, draw_reliability, read_finals
from reports.matrices import Matrix, subtract
from reports.pictures import Picture
from reports.records import read_run
from reports.space_pictures import draw_interaction, draw_parallel, draw_slices
from reports.tables import Report, build
from reports.tiles import list_tiles
from reports.winner_wording import describe_divided, describe_winner
from reports.wording import capitalised, count, metric_title, number, signed

SCHEMA = 4  # of report.json; report.schema.json describes it
SCHEMA_NAME = f"urn:generator-generalisation-search:report:{SCHEMA}"
INTERACTIVE = "interactive.html"  # beside the page, if it was asked for
# Columns up to which two matrices stay readable next to each other.
SIDE_BY_SIDE = 5
CONTENTS = {
    "winner": "The winner",
    "generators": "Across generators",
    "anew": "Trained anew: winner against baseline",
    "robustness": "Robustness",
    "mattered": "What mattered",
    "course": "How the search went",
    "augmentation": "What the augmentation does",
    "audit": "Audit of the data",
    "limits": "Limits",
    "reproduce": "Reproduce",
}
TEMPLATES = Environment(
    loader=PackageLoader("reports", "templates"),
    autoescape=lambda name: name is not None and name.endswith(".html.j2"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def write_report(run_dir: Path) -> Path:
    """Build `report/index.html`, `report.md` and `report.json` of a run from its records alone.

    Works at any time, also while the run goes on: the report then says how far it has come.

    Args:
        run_dir: The directory that the search wrote.

    Returns:
        The path of `index.html`.

    Raises:
        ValueError: If the directory holds no run or a record cannot be understood.
    """
    records = read_run(run_dir)
    finals = read_finals(run_dir, records)
    report = build(records, tested_anew=finals.evidence is not None)
    kept = read_augmentation(run_dir, report.challenger.trial if report.challenger else None)
    best_file = _shown(run_dir / "best.yaml")
    folder = run_dir / "report"
    folder.mkdir(exist_ok=True)
    index = folder / "index.html"
    for path, text in (
        (index, html(report, best_file, finals, kept, interactive=(folder / INTERACTIVE).is_file())),
        (folder / "report.md", markdown(report, best_file, finals, kept)),
        (folder / "report.json", data(report, finals)),
    ):
        path.write_text(text, encoding="utf-8", newline="\n")
    return index


def _shown(path: Path) -> str:
    """Name a file the way a user in this directory would."""
    absolute = path.resolve()
    return (absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else absolute).as_posix()


def data(report: Report, finals: Finals) -> str:
    """Write every table of the report as JSON; `report.schema.json` describes its fields."""
    content = {
        "$schema": SCHEMA_NAME,
        "schema": SCHEMA,
        **asdict(report),
        "evidence": asdict(finals.evidence) if finals.evidence else None,
        "robustness": [asdict(degraded) for degraded in finals.robustness],
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def html(
    report: Report, best_file: str, finals: Finals, kept: Augmentation | None, *, interactive: bool = False
) -> str:
    """Write the page; it loads nothing and runs nothing.

    Args:
        report: The tables.
        best_file: Path of `best.yaml` as the reader should type it.
        finals: What the finalists show.
        kept: Pictures of the augmentation of the best searched trial.
        interactive: Whether there are interactive figures to be linked.
    """
    style = Markup(TEMPLATES.get_template("style.css").render())
    pictures = {
        "matrices": _matrices(report),
        "difference": _matrix_difference(report),
        "wide": any(len(m.generators) > SIDE_BY_SIDE for m in _pair(report)),
        "history": _history(report),
        "importance": _importance(report),
        "slices": draw_slices(report),
        "parallel": draw_parallel(report),
        "differences": draw_differences(finals),
        "reliability": draw_reliability(finals),
        "sheet": draw_sheet(kept),
        "interactive": INTERACTIVE if interactive else "",
    }
    return TEMPLATES.get_template("report.html.j2").render(
        **_content(report, best_file, finals, kept), **pictures, style=style
    )


def markdown(report: Report, best_file: str, finals: Finals, kept: Augmentation | None) -> str:
    """Write the same tables as Markdown; the arguments are those of `html`."""
    matrices = [(_matrix_title(m, report), views.matrix(m)) for m in _pair(report)]
    text = TEMPLATES.get_template("report.md.j2").render(
        **_content(report, best_file, finals, kept), matrices=matrices
    )
    return re.sub(r"\n{3,}", "\n\n", text)  # where a part is absent


def _content(report: Report, best_file: str, finals: Finals, kept: Augmentation | None) -> Mapping[str, Any]:
    folder = str(Path(best_file).with_suffix(""))
    return {
        "winner": describe_winner(report),
        "divided": describe_divided(report.divided),
        "interaction": draw_interaction(report),
        "course": draw_course(report),
        "expected_best": draw_expected_best(finals),
        "spectra": draw_spectra(kept, finals.catalog),
        "use": shlex.join(["python", "-m", "genimage_core", "predict", folder, "FOLDER"]),
        "report": report,
        "finals": finals,
        "contents": CONTENTS,
        "progress": _progress(report),
        "keys": list_tiles(report, finals),
        "views": views,
        "command": shlex.join(report.command),
        "resumed": [(s["started"], shlex.join(s["command"])) for s in report.environment.get("resumed", ())],
        "taken_over": len(report.environment.get("warm_start", {}).get("first", ())),
        "finalists_command": shlex.join(
            ["python", "search/run.py", "--finalists-only", str(Path(best_file).parent)]
        )
        if report.has_best_file
        else "",
        "again": shlex.join(["python", "search/run.py", "--space", best_file])
        if report.has_best_file
        else "",
    }


def _progress(report: Report) -> str:
    outcome = report.outcome
    finished = outcome.completed + outcome.stopped + outcome.failed
    recorded = count(finished + outcome.interrupted, "trial")
    if outcome.planned is not None:
        recorded += f" of {outcome.planned} planned"
    if outcome.interrupted:
        recorded += f", {outcome.interrupted} interrupted"
    if not report.finished:
        return f"The run is still going on or was cut off; it has recorded {recorded}."
    short = outcome.interrupted or finished < (outcome.planned or 0)
    return f"The run ended with {recorded}." if short else ""


def _pair(report: Report) -> list[Matrix]:
    return [m for m in (report.challenger_matrix, report.baseline_matrix) if m is not None]


def _matrix_title(matrix: Matrix, report: Report) -> str:
    best = report.best is not None and matrix.trial == report.best.trial
    if matrix.role == "baseline":
        return f"Baseline{' (the best)' if best else ''}, trial {matrix.trial}"
    return f"Best {'' if best else 'searched '}configuration, trial {matrix.trial}"


def _matrices(report: Report) -> list[Picture]:
    return [
        Picture(
            title=_matrix_title(m, report),
            svg=Markup(figures.heat_map(m, f"matrix{m.trial}")),
            alt=f"Cross-generator matrix of trial {m.trial}, {count(len(m.folds), 'training set')} by "
            f"{count(len(m.generators), 'test generator')}; mean of the framed cells {number(m.mean)}.",
            caption=f"Mean of the framed cells: {number(m.mean)}.",
            table=views.matrix_cells(m),
        )
        for m in _pair(report)
    ]


def _matrix_difference(report: Report) -> Picture | None:
    """The best searched configuration less the baseline."""
    best, baseline = report.challenger_matrix, report.baseline_matrix
    found = subtract(best, baseline) if best and baseline else None
    if found is None:
        return None
    return Picture(
        title=f"Difference: trial {found.trial} less the baseline",
        svg=Markup(figures.heat_map(found, "difference", differences=True)),
        alt=f"Difference of the two matrices above; mean of the framed cells {signed(found.mean)}.",
        caption=f"Orange: better than the baseline; purple: worse. Mean of the framed cells: "
        f"{signed(found.mean)}.",
        table=views.matrix_differences(found),
    )


def _history(report: Report) -> Picture:
    metric = capitalised(metric_title(report.objective))
    best = f"trial {report.best.trial} with {number(report.best.objective)}" if report.best else "none"
    interrupted = " Triangle: interrupted, on the axis where there is no value."
    return Picture(
        title="Optimisation history",
        svg=Markup(figures.history(report.history, report.objective, "history")),
        alt=f"{metric} of {count(len(report.history), 'trial')} by trial number; best: {best}.",
        caption="Each trial’s value after its last epoch. Hollow circle: stopped early, so after fewer "
        f"epochs. Cross on the axis: failed.{interrupted if report.outcome.interrupted else ''}",
        table=views.all_trials(report),
    )


def _importance(report: Report) -> Picture | None:
    if not report.importance.shares:
        return None
    leader, share = report.importance.shares[0]
    return Picture(
        title="Parameter importance",
        svg=Markup(figures.importance(report.importance, "importance")),
        alt=f"Share of each parameter by {report.importance.evaluator}; largest: {leader}, {number(share)}.",
        caption=report.importance.note,
        table=views.importance(report),
    )


def _cell(text: str) -> str:
    """Keep a text inside its Markdown cell, and keep it text."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace("\\", "\\\\")
    for mark in "|`*[]":
        text = text.replace(mark, f"\\{mark}")
    return text


def _pipe_table(table: views.Table) -> str:
    rule = ("---:" if i in table.numeric else "---" for i in range(len(table.columns)))
    lines = (map(_cell, table.columns), rule, *(map(_cell, row) for row in table.rows))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


TEMPLATES.filters.update(pipes=_pipe_table, md=_cell)
