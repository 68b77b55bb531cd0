"""A kept detector on its own domain and on others."""

from dataclasses import dataclass

from torch import nn

from genimage_core.analysis.domain_files import Both
from genimage_core.baseline_tables import Cell, describe_cell
from genimage_core.data.batches import ImageSet
from genimage_core.evaluation import predict
from genimage_core.intervals import Estimate, difference
from genimage_core.metrics import score

METRICS = {
    "accuracy": "accuracy",
    "on real": "real_accuracy",
    "on fake": "fake_accuracy",
    "AP": "average_precision",
    "AUROC": "auroc",
}


@dataclass(frozen=True)
class Domain:
    """How a detector does on one domain.

    Attributes:
        name: As tables call it.
        generators: Whose fakes are in it.
        cell: Its scores, with intervals over test images.
        files: What kind of files its reals and fakes are.
    """

    name: str
    generators: tuple[str, ...]
    cell: Cell
    files: Both

    def scores(self) -> dict[str, Estimate]:
        """Return every number by the name it has in tables."""
        return {name: getattr(self.cell, field) for name, field in METRICS.items()}

    def minus(self, own: "Domain") -> dict[str, Estimate]:
        """Return the differences to another domain; the images of the two are independent."""
        theirs = own.scores()
        return {name: difference(value, theirs[name]) for name, value in self.scores().items()}


def measure_domain(
    detector: nn.Module, name: str, generators: tuple[str, ...], images: ImageSet, files: Both, seed: int
) -> Domain:
    """Score a detector on a domain.

    Args:
        detector: On its device.
        name: Of the domain.
        generators: Whose fakes are in it.
        images: Decoded as in the detector's training.
        files: What kind of files they come from.
        seed: Of resampled intervals.

    Raises:
        ValueError: If a logit is not finite or a class is missing; the message names the domain.
    """
    logits = predict(detector, images)
    try:
        score(logits, images.labels)
    except ValueError as error:
        raise ValueError(f"evaluation on {name}: {error}") from error
    return Domain(name, generators, describe_cell(logits, images.labels, seed), files)
