"""What images show: classes of ImageNet in GenImage, subjects in CNNDetection's packs, scenes in mini."""

import re
from collections.abc import Iterator
from pathlib import Path

from genimage_core.data.imagenet_class import imagenet_class, synsets
from genimage_core.data.layout import CLASS_FOLDERS, Layout, Place, list_images
from genimage_core.data.mini_card import is_simulated
from genimage_core.data.scenes import LEAVES

UNKNOWN = ""
_SCENE = re.compile(r"\d{6}_(\w+)")  # `000123_leaves`, as `mini` names its files


def images_by_class(layout: Layout, generator: str, split: str, label: int) -> dict[str, list[Path]]:
    """Sort the images of one generator, split and label by what they show, files in the layout's order.

    Classes are WordNet ids (`n03495258`) where files are named as GenImage's are; names of folders where
    `0_real` and `1_fake` lie in several (`airplane/0_real`); `leaves` and `photograph` in the embedded data
    set. What cannot be told stands under `UNKNOWN`.
    """
    found: dict[str, list[Path]] = {}
    simulated, synset = is_simulated(layout.root), synsets()
    for place, path in _images(layout, (generator, split, label)):
        index = imagenet_class(path.name)
        if simulated:
            name = _scene(path)
        elif index is not None:
            name = synset[index]
        else:
            name = _subject(place, layout)
        found.setdefault(name, []).append(path)
    return found


def dependent_images(layout: Layout, generator: str, split: str) -> dict[Path, str]:
    """Name the group of each image whose members are no independent evidence.

    That is the scene in the embedded data set, whose nature and ai images share it; elsewhere the class, as
    `images_by_class` tells it. Images of which nothing is known are not named.
    """
    simulated = is_simulated(layout.root)
    found: dict[Path, str] = {}
    for label in range(len(CLASS_FOLDERS)):
        for name, paths in images_by_class(layout, generator, split, label).items():
            if name != UNKNOWN:
                found |= {path: path.stem if simulated else name for path in paths}
    return found


def _images(layout: Layout, wanted: tuple[str, str, int]) -> Iterator[tuple[Place, Path]]:
    for place in layout.places:
        if (place.generator, place.split, place.label) == wanted:
            yield from ((place, path) for path in list_images(place, layout))


def _scene(path: Path) -> str:
    named = _SCENE.fullmatch(path.stem)
    if named is None:
        return UNKNOWN
    return LEAVES if named.group(1) == LEAVES else "photograph"


def _subject(place: Place, layout: Layout) -> str:
    """Name of the folder that `0_real` lies in, where there are several such folders side by side."""
    beside = {
        other.folder.parent
        for other in layout.places
        if (other.generator, other.split) == (place.generator, place.split)
    }
    return place.folder.parent.name if len(beside) > 1 else UNKNOWN
