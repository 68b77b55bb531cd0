"""The photographs that come with scikit-image and scikit-learn, those with a clear licence only."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True)
class Photograph:
    """One photograph.

    Attributes:
        name: What it is called in file names of the data set.
        package: Package that holds it.
        path: Its path inside the package.
        split: The split it belongs to, wholly.
        terms: Licence and author, as the package states them.
    """

    name: str
    package: str
    path: str
    split: str
    terms: str


_CC_BY = "CC BY 2.0"
PHOTOGRAPHS: tuple[Photograph, ...] = (
    Photograph("astronaut", "skimage", "data/astronaut.png", "train", "public domain, NASA"),
    Photograph("chelsea", "skimage", "data/chelsea.png", "train", "CC0, Stefan van der Walt"),
    Photograph("coffee", "skimage", "data/coffee.png", "train", "CC0, Rachel Michetti"),
    Photograph("camera", "skimage", "data/camera.png", "train", "CC0, Lav Varshney"),
    Photograph("grass", "skimage", "data/grass.png", "train", "CC0, linolafett"),
    Photograph("gravel", "skimage", "data/gravel.png", "train", "CC0, CC0Textures"),
    Photograph(
        "china", "sklearn", "datasets/images/china.jpg", "train",
        f"{_CC_BY}, danielbuechele, flickr.com/photos/danielbuechele/6061409035",
    ),
    Photograph("rocket", "skimage", "data/rocket.jpg", "val", "public domain, SpaceX"),
    Photograph("brick", "skimage", "data/brick.png", "val", "CC0, CC0Textures"),
    Photograph(
        "flower", "sklearn", "datasets/images/flower.jpg", "val",
        f"{_CC_BY}, vultilion, flickr.com/photos/vultilion/6056698931",
    ),
)  # fmt: skip


def load_photographs(split: str) -> dict[str, NDArray[np.uint8]]:
    """Return the photographs of a split by name, RGB, shape (H, W, 3).

    Raises:
        FileNotFoundError: If a package lacks one; the message names package and file.
    """
    return {p.name: _load(p) for p in PHOTOGRAPHS if p.split == split}


def _load(photograph: Photograph) -> NDArray[np.uint8]:
    found = find_spec(photograph.package)  # finds without importing: scikit-learn takes seconds
    if found is None or found.origin is None:
        raise FileNotFoundError(
            f"package {photograph.package} is missing, photograph {photograph.name} is in it"
        )
    path = Path(found.origin).parent / photograph.path
    if not path.is_file():
        raise FileNotFoundError(f"{photograph.package} has no {photograph.path}; install the locked version")
    with Image.open(path) as file:
        return np.asarray(file.convert("RGB"))
