"""PURE: what papers report on GenImage, as data: accuracies of detectors, with the protocol of each.

Sources: Zhu et al., "GenImage: A Million-Scale Benchmark for Detecting AI-Generated Image", NeurIPS 2023,
tables 3 to 5 as its repository's README prints them (table 2, the matrix of ResNet-50, is not there: see
`_NO_SOURCE`); and Grommelt et al., "Fake or JPEG? Revealing Common Biases in Generated Image Detection
Datasets", 2024, figures of its repository. Accuracies are over as many real as fake images.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

GENERATORS = ("midjourney", "sd14", "sd15", "adm", "glide", "wukong", "vqdm", "biggan")
IMAGE_SIZE = 224  # pixels, of every published row
THEIR_CUT = "cut as each detector's own code does, mostly 224 pixels after the short side is resized to 256"
EACH = "each"  # the mean over eight detectors, each trained on one generator
DEGRADATIONS = (
    "low resolution 112",
    "low resolution 64",
    "JPEG 65",
    "JPEG 30",
    "blur 3",
    "blur 5",
)


@dataclass(frozen=True)
class PublishedRow:
    """Accuracies of one detector on every generator.

    Attributes:
        detector: As in `detectors.catalogue`.
        trained_on: Generator whose images trained it, or `EACH`.
        accuracy: By test generator, 0 to 1; the generator of the training is among them.
        mean: As published, 0 to 1; includes the generator of the training.
        alignment: Format alignment of training and test, one of `settings.ALIGNMENTS`.
        source: Table or figure.
        note: What has to be known beside the numbers.
        real_size: Shortest and longest side of the real images, in pixels; None for any.
    """

    detector: str
    trained_on: str
    accuracy: dict[str, float]
    mean: float
    alignment: str
    source: str
    note: str = ""
    real_size: tuple[int, int] | None = None

    @property
    def mean_elsewhere(self) -> float | None:
        """Mean without the generator of the training; None where that is not published."""
        if self.trained_on == EACH:
            return None
        return fmean(value for name, value in self.accuracy.items() if name != self.trained_on)


@dataclass(frozen=True)
class PublishedDegradation:
    """Accuracies of one detector on degraded test images.

    Attributes:
        detector: As in `detectors.catalogue`.
        accuracy: By `DEGRADATIONS`, 0 to 1.
        mean: As published, 0 to 1.
        alignment: Format alignment of training and test, one of `settings.ALIGNMENTS`.
        source: Table.
        note: What has to be known beside the numbers.
    """

    detector: str
    accuracy: dict[str, float]
    mean: float
    alignment: str
    source: str
    note: str
    real_size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Conditions:
    """How accuracies were measured here, as far as it decides which published ones may stand beside them.

    Attributes:
        alignment: Format alignment of training and test.
        base: Weights that the training started from, as `DetectorSettings.base`.
        image_size: Side of what the detector sees, in pixels.
        simulated: Whether the images are.
        real_size: Shortest and longest side of the real images, in pixels; None for any.
    """

    alignment: str
    base: str
    image_size: int
    simulated: bool
    real_size: tuple[int, int] | None = None

    def allow(self, row: PublishedRow | PublishedDegradation) -> bool:
        """Whether `row` was measured alike: on real images of its alignment and sizes, from such a base."""
        alike = (self.alignment, self.image_size, self.simulated) == (row.alignment, IMAGE_SIZE, False)
        alike &= self.real_size == row.real_size
        return alike and self.base in ("scratch", "imagenet")


# Per cent: midjourney, sd14, sd15, adm, glide, wukong, vqdm, biggan, the mean as published.
_SD14 = {
    "resnet50": (54.9, 99.9, 99.7, 53.5, 61.9, 98.2, 56.6, 52.0, 72.1),
    "deit_s": (55.6, 99.9, 99.8, 49.8, 58.1, 98.9, 56.9, 53.5, 71.6),
    "swin_t": (62.1, 99.9, 99.8, 49.8, 67.6, 99.1, 62.3, 57.6, 74.8),
    "cnnspot": (52.8, 96.3, 95.9, 50.1, 39.8, 78.6, 53.4, 46.8, 64.2),
    "spec": (52.0, 99.4, 99.2, 49.7, 49.8, 94.8, 55.6, 49.8, 68.8),
    "f3net": (50.1, 99.9, 99.9, 49.9, 50.0, 99.9, 49.9, 49.9, 68.7),
    "gramnet": (54.2, 99.2, 99.1, 50.3, 54.6, 98.9, 50.8, 51.7, 69.9),
}
_EACH = {
    "resnet50": (59.0, 72.3, 72.4, 59.7, 73.1, 71.4, 60.9, 66.6, 66.9),
    "deit_s": (60.7, 74.2, 74.2, 59.5, 71.1, 73.1, 61.7, 66.3, 67.6),
    "swin_t": (61.7, 76.0, 76.1, 61.3, 76.9, 75.1, 65.8, 69.5, 70.3),
    "cnnspot": (58.2, 70.3, 70.2, 57.0, 57.1, 67.7, 56.7, 56.6, 61.7),
    "spec": (56.7, 72.4, 72.3, 57.9, 65.4, 70.3, 61.7, 64.3, 65.1),
    "f3net": (55.1, 73.1, 73.1, 66.5, 57.8, 72.3, 62.1, 56.5, 64.6),
    "gramnet": (58.1, 72.8, 72.7, 58.7, 65.3, 71.3, 57.8, 61.2, 64.7),
}
_RESNET50 = {
    "midjourney": (98.8, 76.4, 76.9, 64.1, 78.9, 71.4, 52.5, 50.1),
    "sd15": (54.4, 99.8, 99.9, 52.7, 60.1, 98.5, 56.9, 51.3),
    "adm": (58.6, 53.1, 53.2, 99.0, 97.1, 53.0, 61.5, 88.3),
    "glide": (50.7, 50.0, 50.1, 56.0, 99.9, 50.3, 50.8, 74.0),
    "wukong": (54.5, 99.7, 99.6, 51.4, 58.3, 99.9, 58.7, 50.9),
    "vqdm": (50.1, 50.0, 50.0, 50.7, 60.1, 50.2, 99.9, 66.8),
    "biggan": (49.9, 49.9, 49.9, 50.6, 68.4, 49.9, 50.6, 99.9),
}
_UNBIASED = {"swin_t": (69.33, 98.22, 98.06, 83.73, 77.07, 95.45, 80.03, 92.48, 86.8)}
_UNBIASED |= {"resnet50": (65.22, 97.81, 97.88, 76.23, 73.07, 92.17, 73.31, 91.39, 83.4)}
# Per cent, in the order of `DEGRADATIONS`, then the mean as published.
_DEGRADED = {
    "resnet50": (96.2, 57.4, 51.9, 51.2, 97.9, 69.4, 70.6),
    "deit_s": (97.1, 54.0, 55.6, 50.5, 94.4, 67.2, 69.8),
    "swin_t": (97.4, 54.6, 52.5, 50.9, 94.5, 52.5, 67.0),
    "cnnspot": (50.0, 50.0, 97.3, 97.3, 97.4, 77.9, 78.3),
    "spec": (50.0, 49.9, 50.8, 50.4, 49.9, 49.9, 50.1),
    "f3net": (50.0, 50.0, 89.0, 74.4, 57.9, 51.7, 62.1),
    "gramnet": (98.8, 94.9, 68.8, 53.4, 95.9, 81.6, 82.2),
}
_NO_SOURCE = "no stored copy of this table was found; its column means agree with table 4 to 0.1 points"
_CUT = (
    "reals of 450 to 550 pixels at JPEG quality 96, fakes re-encoded at 96, both cut to 450 pixels; how the "
    "test images were treated is not stated; the mean is computed from the entries"
)
_LEVEL = (
    "trained on SD v1.4, tested, by the level of the numbers, on its own images; how these were enlarged "
    "again is not published"
)


def _row(
    detector: str,
    trained_on: str,
    per_cent: Iterable[float],
    alignment: str,
    source: str,
    note: str = "",
    real_size: tuple[int, int] | None = None,
) -> PublishedRow:
    *values, mean = (round(value / 100, 4) for value in per_cent)
    accuracy = dict(zip(GENERATORS, values, strict=True))
    return PublishedRow(detector, trained_on, accuracy, mean, alignment, source, note, real_size)


ROWS: tuple[PublishedRow, ...] = (
    *(_row(name, "sd14", values, "none", "GenImage, table 3") for name, values in _SD14.items()),
    *(_row(name, EACH, values, "none", "GenImage, table 4") for name, values in _EACH.items()),
    *(
        _row("resnet50", name, (*values, fmean(values)), "none", "GenImage, table 2", _NO_SOURCE)
        for name, values in _RESNET50.items()
    ),
    *(
        _row(name, "sd14", values, "jpeg96", "Unbiased GenImage, figures", _CUT, (450, 550))
        for name, values in _UNBIASED.items()
    ),
)
DEGRADED: tuple[PublishedDegradation, ...] = tuple(
    PublishedDegradation(
        name,
        {kind: round(value / 100, 4) for kind, value in zip(DEGRADATIONS, values[:-1], strict=True)},
        round(values[-1] / 100, 4),
        "none",
        "GenImage, table 5",
        _LEVEL,
    )
    for name, values in _DEGRADED.items()
)


def published_row(detector: str, trained_on: str, alignment: str = "none") -> PublishedRow | None:
    """Return what was published of a detector trained on a generator (or `EACH`); None if nothing was."""
    for row in ROWS:
        if (row.detector, row.trained_on, row.alignment) == (detector, trained_on, alignment):
            return row
    return None


def published_degradation(detector: str) -> PublishedDegradation | None:
    """Return what was published of a detector on degraded images; None if nothing was."""
    return next((row for row in DEGRADED if row.detector == detector), None)
