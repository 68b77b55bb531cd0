"""What `predict` says: first of the detector, then of every image, a row each as soon as it is known."""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TextIO

from genimage_core.commands.files import printable
from genimage_core.data.alignment import QUALITY
from genimage_core.detectors.info import CheckpointInfo

if TYPE_CHECKING:
    from genimage_core.prediction import Prediction

FORMATS = ("table", "jsonl", "csv")
COLUMNS = ("path", "verdict", "probability", "logit", "error")
ALIGNED = {
    "none": "none: images are taken as they are",
    "jpeg96": f"jpeg96, applied: what is no JPEG is re-encoded at quality {QUALITY}, as fakes in training",
    "jpeg96_both": f"jpeg96_both, applied: every image is re-encoded at quality {QUALITY}, as in training",
    "match_quality": (
        f"match_quality, applied as far as known: what is no JPEG is re-encoded at quality {QUALITY}; the "
        "fakes of its training were at the qualities of its reals, which are not recorded"
    ),
}
CUT = {
    "centre": "centre at native scale, smaller images continued by reflection",
    "random": "centre at native scale, smaller images continued by reflection",
    "resize": "centre after the short side is brought to its size",
}

Write = Callable[["Prediction"], object]


def describe(
    info: CheckpointInfo, temperatures: Sequence[float] | None, members: int, device: str
) -> Iterator[str]:
    """Say in a few lines what scores the images, what is done to them first, and what its numbers mean.

    Args:
        info: Of the detector, or of an ensemble.
        temperatures: Of every member; None if it is not calibrated.
        members: How many.
        device: Where it runs.
    """
    several = f"{members} detectors, the mean of their logits: " if members > 1 else ""
    yield f"detector: {several}{info.detector}, {info.image_size} px, on {device}"
    simulated = " (SIMULATED, of the embedded data set: nothing it says holds for real generators)"
    trained = ", ".join(info.generators) or "no generator that its checkpoint names"
    yield f"made with images of: {trained}{simulated if info.simulated else ''}{_sides(info)}"
    yield f"crop: {CUT[info.crop]}"
    yield f"format alignment: {ALIGNED[info.format_alignment]}"
    yield f"probability: {_calibration(temperatures, info.calibrated_on)}"


def _sides(info: CheckpointInfo) -> str:
    if info.real_size is None:
        return ""
    return (
        f"; reals with sides of {info.real_size[0]} to {info.real_size[1]} px, images of any size are scored"
    )


def _calibration(temperatures: Sequence[float] | None, generators: Sequence[str]) -> str:
    if temperatures is None:
        return "not calibrated (no temperature in a checkpoint): the sigmoid of the raw logit"
    said = ", ".join(f"{temperature:.3g}" for temperature in temperatures)
    what = "mean of calibrated logits, itself not calibrated" if len(temperatures) > 1 else "calibrated"
    of = f" of {', '.join(generators)}" if generators else ""
    return (
        f"{what}: temperature {said}, fitted on validation images{of}, half of them fake; it need not hold "
        "for other generators or another share of fakes"
    )


def writer(kind: str, file: TextIO) -> Write:
    """Begin a table, CSV or JSON lines and return what writes a row.

    JSON lines are ASCII and hold every name exactly: what is no UTF-8 is escaped as lone surrogates, from
    which Python's `os.fsencode` makes the bytes again. The other two show escaped what cannot be written.
    """
    if kind == "jsonl":
        return lambda prediction: file.write(json.dumps(_fields(prediction)) + "\n")
    if kind == "csv":
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        return lambda prediction: rows.writerow(_csv_row(prediction, file))
    file.write(_line("verdict", "probability", "image"))
    return lambda prediction: file.write(_writable(_table_row(prediction), file))


def _fields(prediction: "Prediction") -> dict[str, str | float | None]:
    return {
        "path": str(prediction.path),
        "verdict": prediction.verdict,
        "probability": prediction.probability,
        "logit": prediction.logit,
        "error": prediction.error or None,
    }


def _csv_row(prediction: "Prediction", file: TextIO) -> list[str | float | None]:
    values = _fields(prediction).values()
    return [_writable(value, file) if isinstance(value, str) else value for value in values]


def _table_row(prediction: "Prediction") -> str:
    probability = "" if prediction.probability is None else f"{prediction.probability:.4f}"
    reason = f": {prediction.error}" if prediction.error else ""
    image = printable(f"{prediction.path}{reason}").replace("\n", "\\n")
    return _line(prediction.verdict, probability, image)


def _line(verdict: str, probability: str, image: str) -> str:
    return f"{verdict:<7}  {probability:>11}  {image}\n"


def _writable(text: str, file: TextIO) -> str:
    """Escape what the encoding of a file lacks, lone surrogates for instance."""
    encoding = file.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
