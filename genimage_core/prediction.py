"""Real or generated, image by image: any number of files, decoded ahead; none of them stops the work."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from torch import nn

from genimage_core.data.ahead import map_in_threads
from genimage_core.data.alignment import quality_of_unknown
from genimage_core.data.batches import ImageSet
from genimage_core.data.decoding import usable_cores
from genimage_core.data.pixels import UnreadableImage, decode, read_format
from genimage_core.data.walk import Found
from genimage_core.detectors.info import CheckpointInfo
from genimage_core.evaluation import predict

AT_ONCE = 64  # images in a batch
MAX_BYTES = 2**30  # more than any image has that is small enough to be decoded

Pixels = NDArray[np.uint8] | str  # (S, S, 3), or why there are none


@dataclass(frozen=True)
class Prediction:
    """What a detector says of one file.

    Attributes:
        path: Of the file.
        probability: That the image is fake, within [0, 1]; None if it could not be scored.
        logit: Its log odds, finite; None likewise. Above 0 the image is called fake.
        error: Why it could not be scored; empty if it was.
    """

    path: Path
    probability: float | None = None
    logit: float | None = None
    error: str = ""

    @property
    def verdict(self) -> str:
        """`fake`, `real`, or `error`."""
        if self.logit is None:
            return "error"
        return "fake" if self.logit > 0 else "real"


def predict_files(
    found: Iterable[Found], detector: nn.Module, info: CheckpointInfo, batch_size: int = AT_ONCE
) -> Iterator[Prediction]:
    """Score files as they are found, in their order; no more than a few batches are in memory.

    Args:
        found: Paths, each with a reason if it is known that it cannot be scored.
        detector: On its device.
        info: How the detector's images were cut and aligned.
        batch_size: Images at a time, at most.
    """
    threads = usable_cores()
    decoded = map_in_threads(partial(read_pixels, info), found, threads, 2 * batch_size + threads)
    with closing(decoded):  # so that nothing is decoded any more for a caller who stops
        for batch in _growing(decoded, batch_size):
            yield from _score(batch, detector)


def _growing(decoded: Iterator[tuple[Found, Pixels]], most: int) -> Iterator[list[tuple[Found, Pixels]]]:
    """Cut into batches of 1, 2, 4, … up to `most`: the first result need not wait for a whole batch."""
    size, batch = 1, list[tuple[Found, Pixels]]()
    for one in decoded:
        batch.append(one)
        if len(batch) == size:
            yield batch
            size, batch = min(2 * size, most), []
    if batch:
        yield batch


def read_pixels(info: CheckpointInfo, found: Found) -> Pixels:
    """Return pixels as evaluation would give them to the detector, or why there are none; never raises."""
    path, reason = found
    if reason:
        return reason
    try:
        if path.stat().st_size > MAX_BYTES:
            return f"larger than {MAX_BYTES >> 20} MiB"
        quality = quality_of_unknown(info.format_alignment, read_format(path))
        return decode(path, info.image_size, quality=quality, resize=info.crop == "resize")
    except UnreadableImage as error:
        return error.reason
    except OSError as error:
        return error.strerror or str(error)
    except Exception as error:  # one file in millions must not end the work on the others, whatever is in it
        return " ".join(f"{type(error).__name__}: {error}".split())


def _score(batch: Sequence[tuple[Found, Pixels]], detector: nn.Module) -> Iterator[Prediction]:
    pixels = [result for _, result in batch if not isinstance(result, str)]
    logits: Iterator[float] = iter(())
    if pixels:
        images = ImageSet((np.stack(pixels),), np.zeros(len(pixels), dtype=np.uint8), "")
        logits = iter(predict(detector, images, len(pixels)).tolist())
    for (path, _), result in batch:
        yield Prediction(path, error=result) if isinstance(result, str) else _judge(path, next(logits))


def _judge(path: Path, logit: float) -> Prediction:
    if not math.isfinite(logit):
        return Prediction(path, error=f"the detector's logit is {logit}")
    return Prediction(path, float(expit(logit)), logit)
