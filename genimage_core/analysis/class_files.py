"""What kind of files the reals and fakes are that an analysis reads."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from genimage_core.data.batches import BadFile
from genimage_core.data.file_facts import formats
from genimage_core.data.layout import CLASS_FOLDERS
from genimage_core.data.recipe import Recipe, SourceFile


@dataclass(frozen=True)
class ClassFiles:
    """The files of one class, as they lie on the disk.

    Attributes:
        images: How many were measured.
        formats: Format -> files, the most frequent first, by their headers.
        small: Files with a side shorter than the square that is cut: reflection continues them.
    """

    images: int
    formats: dict[str, int]
    small: int


def describe_files(recipe: Recipe, bad: Sequence[BadFile], size: int) -> tuple[ClassFiles, ClassFiles]:
    """Describe nature and ai, but for the files that cannot be decoded; `size` is the side of the square."""
    left_out = {file.path for file in bad}
    nature, ai = (
        _class_files([f for f in recipe.files if f.label == label and f.name not in left_out], size)
        for label in range(len(CLASS_FOLDERS))
    )
    return nature, ai


def different_formats(files: tuple[ClassFiles, ClassFiles], alignment: str) -> str:
    """Warn where the file format tells reals from fakes of a training set; empty where it does not."""
    nature, ai = (", ".join(one.formats) for one in files)
    if set(files[0].formats) == set(files[1].formats):
        return ""
    consequence = (
        "a detector may learn the compression; compare with --alignment jpeg96_both or match_quality"
        if alignment == "none"
        else f"after {alignment} a detector may still see what earlier compression left in one class"
    )
    return f"Different file formats (reals {nature}, fakes {ai}): {consequence}."


def _class_files(files: list[SourceFile], size: int) -> ClassFiles:
    found: Counter[str] = Counter()
    small = 0
    for file in files:
        with Image.open(file.path, formats=formats()) as image:  # the header only; it has been decoded
            found[str(image.format)] += 1
            small += min(image.size) < size
    return ClassFiles(len(files), dict(found.most_common()), small)
