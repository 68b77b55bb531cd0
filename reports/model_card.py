"""The card of the detectors in `best/`: what they are, how they did, what is not known of them.

Its head is the metadata of Hugging Face's model cards, so the folder can be published as it is.
"""

import shlex
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from reports import evidence_views
from reports.evidence_page import Finals, read_finals
from reports.records import Environment, read_run
from reports.render import TEMPLATES
from reports.tables import Report, build
from reports.wording import generator_title, interval

CARD = "README.md"
METRIC = "balanced accuracy"


def write_card(run_dir: Path) -> Path | None:
    """Write the card of a run's detectors from its records alone.

    Returns:
        The path of the card; None if the run has no detectors.

    Raises:
        ValueError: If a record cannot be understood.
    """
    folder = run_dir / "best"
    detectors = sorted(path.name for path in folder.glob("*.safetensors"))
    if not detectors:
        return None
    records = read_run(run_dir)
    finals = read_finals(run_dir, records)
    report = build(records, tested_anew=finals.evidence is not None)
    path = folder / CARD
    path.write_text(
        render_card(report, finals, records.environment, detectors), encoding="utf-8", newline="\n"
    )
    return path


def render_card(report: Report, finals: Finals, environment: Environment, detectors: list[str]) -> str:
    """Return the card; the arguments are what `write_card` reads."""
    details = environment.details
    trained = ", ".join(f"{generator_title(fold.name, environment.catalog)}" for fold in environment.folds)
    return TEMPLATES.get_template("card.md.j2").render(
        metadata=metadata(report, finals, environment),
        report=report,
        finals=finals,
        views=evidence_views,
        detectors=detectors,
        trained=trained,
        detector=details.get("detector", "detector"),
        data=details.get("data", {}),
        protocol=details.get("protocol", {}),
        config=(report.challenger.config if report.challenger else {}),
        command=shlex.join(report.command),
    )


def metadata(report: Report, finals: Finals, environment: Environment) -> str:
    """Return the metadata in YAML: tags, and a result for each part of the images that was tested."""
    data: dict[str, Any] = environment.details.get("data", {})
    name = "mini (simulated)" if report.simulated else "GenImage layout"
    results = [
        EvalResult(
            task_type="image-classification",
            task_name="detection of generated images",
            dataset_type="genimage",
            dataset_name=f"{name}: {evidence_views.PART_TITLES[verdict.claim.part].lower()}",
            dataset_split=verdict.claim.part,
            dataset_revision=data.get("fingerprint"),
            metric_type="accuracy",
            metric_name=f"off-family {METRIC}, mean of single detectors, 95 % interval",
            metric_value=interval(verdict.claim.overall.candidate),
        )
        for verdict in (finals.evidence.verdicts if finals.evidence else ())
    ]
    tags = ["ai-generated-image-detection", "image-forensics"] + (
        ["simulated-data"] if report.simulated else []
    )
    card = ModelCardData(
        model_name=report.name if results else None,
        eval_results=results or None,
        pipeline_tag="image-classification",
        library_name="timm",
        tags=tags,
    )
    return card.to_yaml()
