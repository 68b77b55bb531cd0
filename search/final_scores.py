"""Opening the seal: what the finalists say of images that no trial has seen, asked once."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import ray
from rich.console import Console

from genimage_core.data.batches import ImageSet
from genimage_core.data.images import describe_tests, open_images
from genimage_core.data.layout import Layout
from genimage_core.data.recipe import Recipe
from genimage_core.data.run_audit import audit_run
from search.capacity import GroupShape, fitting_workers, living_nodes
from search.final_training import detectors_of
from search.finalists import FOLDER, Summary, trainings_of, write_summary
from search.fixed_search import Training
from search.image_scores import IMAGES, SCORES, tabulate_images, tabulate_logits, write_table
from search.inputs import decode_all
from search.job import Job
from search.records import Records

if TYPE_CHECKING:
    from torch import nn

PARTS, ROBUSTNESS = ("test", "sealed"), "robustness"


@dataclass(frozen=True)
class TestSet:
    """Images of one generator that no trial has seen.

    Attributes:
        generator: Whose.
        part: `test` for a search generator, `sealed` for one that the search knew nothing of.
        per_class: Images of each class.
        identity: Of the files, where the seal was opened.
    """

    generator: str
    part: str
    per_class: int
    identity: str


def open_seal(run_dir: Path, summary: Summary, command: Sequence[str]) -> None:
    """Note that the sealed generators are looked at from now on, unless an earlier call has done so."""
    if summary["seal"] is None:
        opened = datetime.now(UTC).isoformat(timespec="seconds")
        summary["seal"] = {"opened": opened, "command": list(command), "generators": summary["sealed"]}
        write_summary(run_dir, summary)


def score_finalists(job: Job, summary: Summary, layout: Layout, shape: GroupShape, console: Console) -> None:
    """Score every training that completed, write its Parquet file and keep detectors of the winner.

    Args:
        job: Of the search.
        summary: Content of `finalists.json`; its seal is open.
        layout: Where the images of search and sealed generators are.
        shape: Resources of a worker.
        console: Where it is told.

    Raises:
        ValueError: If there are too few images, or too many that cannot be decoded.
    """
    _import_ahead(len(_untested(job.run_dir, summary)), shape)
    recipes = _describe_parts(job, layout, summary)
    bad = decode_all([recipe for part in PARTS for recipe in recipes[part]], job.data, job.cache, console)
    tables = [tabulate_images(layout, recipes[part], bad, part) for part in PARTS if recipes[part]]
    summary["shortcuts"] = audit_sealed(job, recipes["sealed"], console)
    path = job.run_dir / SCORES / IMAGES
    searched = pd.read_parquet(path).query("part == 'val'")
    write_table(pd.concat([searched, *tables], ignore_index=True), path)
    tests = [
        TestSet(recipe.generator, part, summary["test_per_class"], recipe.identity)
        for part in PARTS
        for recipe in recipes[part]
    ]
    _score_all(replace(job, layout=layout), summary, tests, shape, console)
    summary["tested"] = True
    write_summary(job.run_dir, summary)
    keep_detectors(job.run_dir, summary)


def audit_sealed(job: Job, recipes: Sequence[Recipe], console: Console) -> dict[str, Any] | None:
    """Ask of the sealed images too whether their files alone tell real from fake; None if none are sealed."""
    if not recipes:
        return None
    audit = audit_run(recipes, job.seed, job.cache)
    for sentence in audit.sentences:
        console.print(f"sealed generators: {sentence}", markup=False)
    return {"level": audit.level, "sentences": list(audit.sentences)}


def _describe_parts(job: Job, layout: Layout, summary: Summary) -> dict[str, list[Recipe]]:
    names: Mapping[str, Sequence[str]] = {"test": job.search, "sealed": summary["sealed"]}
    count = summary["test_per_class"]
    return {
        part: [
            describe_tests(layout, name, job.data, job.seed, per_class=count, without=job.validated)
            for name in names[part]
        ]
        for part in PARTS
    }


def _score_all(
    job: Job, summary: Summary, tests: Sequence[TestSet], shape: GroupShape, console: Console
) -> None:
    """Score what has not been scored yet, as many at a time as there is room for."""
    remote = ray.remote(num_cpus=shape.cpus, num_gpus=shape.gpus, max_retries=2)(score_training)
    compared = [finalist["name"] for finalist in summary["configurations"][:2]]  # baseline and winner
    waiting = {}
    for training, source in _untested(job.run_dir, summary):
        target, degraded = scores_of(job.run_dir, training), training.finalist in compared
        waiting[remote.remote(job, source, tests, target, shape.cpus, degraded)] = training
    total = len(waiting)
    while waiting:
        [done], _ = ray.wait(list(waiting))
        ray.get(done)
        training = waiting.pop(done)
        console.print(
            f"tested {training.finalist}, seed {training.draw} ({total - len(waiting)} of {total})",
            highlight=False,
        )


def _completed(run_dir: Path, summary: Summary) -> list[tuple[Training, Path]]:
    """Every training that completed, and where its detectors are."""
    inner = run_dir / FOLDER
    records = Records(inner, "", summary["epochs"])
    found = [(training, records.trials[training.number]) for training in trainings_of(summary)]
    return [
        (training, detectors_of(inner, record)) for training, record in found if record.state == "completed"
    ]


def _untested(run_dir: Path, summary: Summary) -> list[tuple[Training, Path]]:
    """Every training that completed and has not been scored yet, and where its detectors are."""
    return [found for found in _completed(run_dir, summary) if not scores_of(run_dir, found[0]).exists()]


def _import_ahead(trainings: int, shape: GroupShape) -> None:
    """Let the processes that will score import what takes them seconds, while images are made ready."""
    count = min(trainings, fitting_workers(living_nodes(), shape))
    remote = ray.remote(num_cpus=shape.cpus, num_gpus=shape.gpus)(_import_torch)
    for _ in range(count):  # Ray keeps processes for tasks of the same needs
        remote.remote()


def _import_torch() -> None:
    import genimage_core.evaluation  # noqa: F401


def scores_of(run_dir: Path, training: Training) -> Path:
    """Where it is kept what the detectors of a finalist say."""
    return run_dir / FOLDER / SCORES / f"{training.finalist}_seed_{training.draw}.parquet"


def score_training(
    job: Job, source: Path, tests: Sequence[TestSet], target: Path, cpus: float, degraded: bool
) -> None:
    """Score the detectors of one training; runs on any node.

    Args:
        job: Of the search; its layout has the images of all tests.
        source: Folder with a detector for each fold.
        tests: What they are tested on.
        target: Parquet file to write.
        cpus: Threads to use.
        degraded: Whether also on degraded test images of the generators that each was trained on (the
            paper's task 2), into the folder `ROBUSTNESS` beside that of `target`.

    Raises:
        ValueError: If this node has other images.
    """
    import torch

    from genimage_core.detectors.detector import load_detector
    from genimage_core.evaluation import predict
    from genimage_core.frozen_features import FrozenFeatures

    torch.set_num_threads(max(1, int(cpus + 0.5)))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    detectors = {f.name: load_detector(source / f"{f.name}.safetensors").to(device) for f in job.folds}
    tables, robustness = [], []
    for test in tests:
        images, frozen = _load(job, test), FrozenFeatures()
        logits = {
            fold: {test.generator: predict(net, images, frozen=frozen)} for fold, net in detectors.items()
        }
        tables.append(tabulate_logits(logits).assign(part=test.part))
        for fold in job.folds if degraded and test.part == "test" else ():
            if test.generator in fold.train:
                robustness += _score_degraded(detectors[fold.name], fold.name, test.generator, images)
    if robustness:
        write_table(pd.concat(robustness, ignore_index=True), target.parents[1] / ROBUSTNESS / target.name)
    write_table(pd.concat(tables, ignore_index=True), target)


def _load(job: Job, test: TestSet) -> ImageSet:
    recipe = describe_tests(
        job.layout, test.generator, job.data, job.seed, per_class=test.per_class, without=job.validated
    )
    if recipe.identity != test.identity:
        raise ValueError(f"this node has other images of {test.generator} under {job.layout.root}")
    return open_images(recipe, job.data, job.cache)


def _score_degraded(detector: "nn.Module", fold: str, generator: str, images: ImageSet) -> list[pd.DataFrame]:
    from genimage_core.degrade import DEGRADATIONS
    from genimage_core.evaluation import predict

    return [
        tabulate_logits({fold: {generator: predict(detector, images, change=change)}}).assign(
            degradation=kind
        )
        for kind, change in DEGRADATIONS.items()
    ]


def keep_detectors(run_dir: Path, summary: Summary) -> None:
    """Keep the winner's detectors of its first seed that completed, and drop all others."""
    winner = summary["configurations"][1]["name"]
    kept = run_dir / FOLDER / "best"
    for training, source in _completed(run_dir, summary):
        if training.finalist == winner and not kept.exists():
            partial = kept.with_name(".best.partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            for path in sorted(source.glob("*.safetensors")):
                shutil.copy(path, partial)
            partial.rename(kept)
    for path in (run_dir / FOLDER / "checkpoints").glob("*"):
        shutil.rmtree(path)
