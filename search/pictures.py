"""What the augmentation of a trial does to images, kept for the report as long as it may be the best."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from search.board import contact_sheet, write_pictures
from search.checkpoints import trial_name
from search.records import Records

if TYPE_CHECKING:
    from genimage_core.augmented import Spectra
    from genimage_core.policy import FrequencyPolicy
    from search.folds import FoldWorker

FOLDER = "pictures"
SHEET, SPECTRA = "augmented.jpg", "spectra.json"
QUALITY = 92


def pictures_of(run_dir: Path, number: int) -> Path:
    """Where the pictures of a trial are."""
    return run_dir / FOLDER / trial_name(number)


def show_augmentation(
    worker: "FoldWorker", policy: "FrequencyPolicy", seed: int, board: Path, folder: Path | None
) -> None:
    """Put images before and after on the board; of a policy that changes any keep them and their spectra.

    Args:
        worker: Has loaded the trial.
        policy: Of the trial.
        seed: Of what is drawn.
        board: Folder of the trial's event files.
        folder: Where the pictures for the report go, if they do.
    """
    from genimage_core.augmented import measure_spectra

    sheets = {fold: contact_sheet(policy, data, seed) for fold, data in worker.training_sets.items()}
    write_pictures(board, sheets)
    if folder is None or policy.is_identity or not sheets:
        return
    fold, sheet = next(iter(sheets.items()))
    spectra = {
        name: _rounded(measure_spectra(policy, data, seed)) for name, data in worker.validation.items()
    }
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    Image.fromarray(sheet).save(partial / SHEET, quality=QUALITY, subsampling=0)
    (partial / SPECTRA).write_text(json.dumps({"fold": fold, "generators": spectra}) + "\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)  # of an earlier try
    partial.rename(folder)


def _rounded(spectra: "Spectra") -> dict[str, Any]:
    halves = {"before": spectra.before, "after": spectra.after}
    return {
        "images": spectra.images,
        "frequency": [round(float(value), 5) for value in spectra.frequency],
        **{
            when: {name: [round(float(value), 3) for value in curve] for name, curve in curves.items()}
            for when, curves in halves.items()
        },
    }


def drop_pictures(records: Records) -> None:
    """Drop the pictures of all trials that have ended, but those of the best searched one."""
    done = [r for r in records.in_order() if r.state == "completed" and r.role == "searched"]
    best = max(done, key=lambda r: (r.value(records.objective), -r.number), default=None)
    kept = {
        trial_name(record.number)
        for record in records.in_order()
        if record is best or record.state in ("running", "interrupted")
    }
    for folder in (records.run_dir / FOLDER).glob("*"):
        if folder.name.removeprefix(".").removesuffix(".partial") not in kept:
            shutil.rmtree(folder)
