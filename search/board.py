"""TensorBoard: curves, per-generator accuracy and hyper-parameters of every trial, pictures of its images."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.events import EventWriter
from search.heat_map import draw_heat_map

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from genimage_core.data.batches import ImageSet
    from genimage_core.policy import FrequencyPolicy

PICTURES = 6
SMALLEST_PICTURE = 128  # pixels; smaller ones are shown enlarged


class Board:
    """Writes the event files of all trials, one folder each, as results come in."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writers: dict[str, EventWriter] = {}

    def write_epoch(self, trial: str, result: Mapping[str, Any]) -> None:
        """Add one epoch: losses, metrics, each fold's accuracy on each generator, and these as a picture."""
        writer = self._writer(trial)
        writer.add_scalars(flatten(result), result["epoch"])
        writer.add_image("matrix", draw_heat_map(result["matrix"]), result["epoch"])
        writer.flush()

    def write_hyperparameters(self, trial: str, params: Mapping[str, Any], state: str) -> None:
        """Add the configuration of a finished trial, whatever became of it, to the HParams page.

        There the trainings of a finalist are one group, whose numbers are means over their seeds.
        """
        writer = self._writer(trial)
        group = f"finalist {params['finalist']}" if "finalist" in params else trial
        writer.add_hyperparameters({"state": state, **params}, group)
        writer.close()
        del self._writers[trial]

    def close(self) -> None:
        """Write out what is left."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _writer(self, trial: str) -> EventWriter:
        if trial not in self._writers:
            self._writers[trial] = EventWriter(self._folder / trial)
        return self._writers[trial]


def flatten(result: Mapping[str, Any]) -> dict[str, float]:
    """Name every number of a result as TensorBoard groups them: `metric/…`, `accuracy/FOLD/GENERATOR`."""
    names = ("off_family_accuracy", "left_out_accuracy", "worst_left_out", "in_domain_accuracy")
    tags = {f"metric/{name}": result[name] for name in (*names, "average_precision", "auroc")}
    tags |= {f"seconds/{name[:-2]}": result[name] for name in ("train_s", "eval_s", "wait_s")}
    tags["loss/mean"] = result["train_loss"]
    tags |= {f"loss/{fold}": loss for fold, loss in result["losses"].items()}
    for fold, row in result["matrix"].items():
        for generator, scores in row.items():
            for kind in ("accuracy", "real_accuracy", "fake_accuracy"):
                tags[f"{kind}/{fold}/{generator}"] = scores[kind]
    return tags


def write_text(folder: Path, tag: str, text: str) -> None:
    """Put Markdown on the board, in place of what was there."""
    shutil.rmtree(folder, ignore_errors=True)
    writer = EventWriter(folder)
    writer.add_text(tag, text)
    writer.close()


def write_pictures(folder: Path, sheets: Mapping[str, "NDArray[np.uint8]"]) -> None:
    """Put the contact sheet of every fold on the board."""
    writer = EventWriter(folder, ".pictures")
    for fold, sheet in sheets.items():
        writer.add_image(f"augmented/{fold}", sheet)
    writer.close()


def contact_sheet(policy: "FrequencyPolicy", data: "ImageSet", seed: int) -> "NDArray[np.uint8]":
    """Draw four rows of pictures: originals, augmented, log-spectra of the first, of the second.

    Returns:
        uint8 (4 H, n W, 3), small pictures enlarged by a whole factor; half of the images real, half fake.
    """
    import numpy as np
    import torch

    from genimage_core.augment import apply, sample
    from genimage_core.spectrum import log_amplitude_picture, scaled_by
    from genimage_core.training import read_batch

    chosen = torch.from_numpy(np.linspace(0, len(data.labels) - 1, PICTURES).astype(int))
    images = read_batch(data, chosen, torch.device("cpu")).contiguous()
    labels = torch.from_numpy(data.labels)[chosen]
    params = sample(policy, len(chosen), torch.Generator().manual_seed(seed), labels=labels)
    augmented = apply(images, params)
    spectra = torch.stack([log_amplitude_picture(x.mean(1, keepdim=True)) for x in (images, augmented)])
    spectra = scaled_by(spectra, spectra[0]).expand(-1, -1, 3, -1, -1)
    rows = [torch.cat(list(row), dim=2) for row in (images, augmented, *spectra)]
    sheet = torch.cat(rows, dim=1).clamp(0, 1).mul(255).byte()
    zoom = max(1, SMALLEST_PICTURE // images.shape[-1])
    enlarged = sheet.repeat_interleave(zoom, 1).repeat_interleave(zoom, 2)
    return np.ascontiguousarray(enlarged.permute(1, 2, 0).numpy())
