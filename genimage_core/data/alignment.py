"""PURE: format alignment, which takes the file format away as a clue to what is fake.

GenImage's reals are JPEGs and its fakes PNGs, so that traces of compression tell them apart (Grommelt et al.,
"Fake or JPEG? Revealing Common Biases in Generated Image Detection Datasets", 2024). A re-encoded image is
compressed as a whole, before it is cropped, as the files of the other class were.
"""

import hashlib
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from genimage_core.settings import ALIGNMENTS, require

QUALITY = 96  # of Unbiased GenImage
JPEG = ("JPEG", "MPO")  # names that Pillow has for it; the second holds several pictures
LOSSLESS = 0  # stands for the quality of a file without compression losses


def reencode(image: Image.Image, quality: int) -> Image.Image:
    """Compress an RGB image as JPEG with Pillow's defaults at `quality` (1 to 100) and decode it again."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def quality_of_unknown(alignment: str, file_format: str | None) -> int | None:
    """Return the JPEG quality at which an image of unknown class is re-encoded, None if it stays as it is.

    In training, `jpeg96` and `match_quality` bring the lossless fakes to the JPEG of the reals. Whether an
    image is fake is what is asked here, so that its format has to do: of GenImage's files, JPEG are real and
    all others fake, so that they are seen as in evaluation. The qualities that `match_quality` drew are not
    known any more: `QUALITY` stands for them.

    Args:
        alignment: One of `settings.ALIGNMENTS`.
        file_format: As Pillow names it; None if it is not known.

    Raises:
        ValueError: If the alignment is unknown.
    """
    require(alignment in ALIGNMENTS, "format_alignment", alignment, f"one of {', '.join(ALIGNMENTS)}")
    if alignment == "none" or (alignment != "jpeg96_both" and file_format in JPEG):
        return None
    return QUALITY


def target_quality(
    alignment: str, name: str, label: int, *, real_qualities: Sequence[int] = (), seed: int = 0
) -> int | None:
    """Return the JPEG quality at which an image is re-encoded, None if it stays as it is.

    Args:
        alignment: One of `settings.ALIGNMENTS`.
        name: Path of the file, relative to its root. With `seed` it alone decides what `match_quality`
            draws, so that the order of the files does not matter.
        label: 0 = nature, 1 = ai.
        real_qualities: Qualities of the reals that `match_quality` draws from, in any order; a fake that
            draws `LOSSLESS` stays as it is.
        seed: Seed of the draw.

    Raises:
        ValueError: If the alignment is unknown, or `match_quality` has nothing to draw from.
    """
    require(alignment in ALIGNMENTS, "format_alignment", alignment, f"one of {', '.join(ALIGNMENTS)}")
    if alignment == "none" or (label == 0 and alignment != "jpeg96_both"):
        return None
    if alignment != "match_quality":
        return QUALITY
    if not real_qualities:
        raise ValueError(
            "format_alignment match_quality draws from the JPEG qualities of the real images, and there are "
            "none; choose another alignment"
        )
    word = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    drawn = sorted(real_qualities)[int(np.random.default_rng([seed, word]).integers(len(real_qualities)))]
    return None if drawn == LOSSLESS else drawn
