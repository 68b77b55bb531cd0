"""The ImageNet class of an image of GenImage, read off its file name."""

import re
from functools import lru_cache
from importlib.resources import files
from pathlib import PurePath

# `033_sdv4_00152`, `GLIDE_1000_200_08_808_glide_00033`: wherever it stands, the class precedes the generator.
_FAKE = re.compile(
    r"(?:^|_)(\d{3})_(?:adm|biggan|glide|midjourney|sdv4|sdv5|vqdm|wukong)_\d+$", re.IGNORECASE
)
_REAL = re.compile(r"^(n\d{8})_\d+$")  # `n03495258_20762`, as in ImageNet's training set


def imagenet_class(name: str) -> int | None:
    """Return the class index (0 to 999) that a file name of GenImage tells, or None if it tells none.

    Fakes carry the index itself, reals of ImageNet's training set their WordNet id, whose rank among the
    sorted ids of ILSVRC 2012's 1000 classes is the index. Reals of the validation set
    (`ILSVRC2012_val_…`) do not tell. That the number in a fake's name is an index in this same order is how
    the authors' prompts are understood; nothing that is published states it for each of the generators.

    Args:
        name: File name or path, with its extension.
    """
    stem = PurePath(name).stem
    if fake := _FAKE.search(stem):
        return int(fake.group(1))
    real = _REAL.match(stem)
    return _ranks().get(real.group(1)) if real else None


def synsets() -> tuple[str, ...]:
    """Return the WordNet ids of ILSVRC 2012's 1000 classes, sorted: position = class index."""
    text = files("genimage_core.data").joinpath("imagenet_synsets.txt").read_text(encoding="ascii")
    return tuple(text.split())


@lru_cache(maxsize=1)
def _ranks() -> dict[str, int]:
    return {synset: rank for rank, synset in enumerate(synsets())}
