"""Where GenImage's images lie on a disk: `<top>/<inner>/{train,val}/{ai,nature}/<file>`."""

from collections.abc import Sequence
from pathlib import Path

from genimage_core.generators import NAMES, get_generator

CLASS_FOLDERS = ("nature", "ai")  # position = label
SPLITS = ("train", "val")
EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".webp"})


def find_generators(root: Path, names: Sequence[str] = NAMES) -> dict[str, Path]:
    """Map those generators of `names` found under `root` to the folder that holds `train/` and `val/`.

    Only the named generators' folders are touched: a sealed one need not even be readable.

    Raises:
        ValueError: If `root` is no directory.
    """
    if not root.is_dir():
        raise ValueError(f"data root {root} is not a directory; point --data at the unzipped GenImage folder")
    folders = {name: root / get_generator(name).top / get_generator(name).inner for name in names}
    return {name: folder for name, folder in folders.items() if (folder / "train").is_dir()}


def require_generators(root: Path, names: Sequence[str]) -> dict[str, Path]:
    """Return the folders of the generators `names`.

    Raises:
        ValueError: If one of them is missing; the message says what was looked for and where.
    """
    found = find_generators(root, names)
    missing = [name for name in names if name not in found]
    if not missing:
        return found
    looked_for = get_generator(missing[0])
    example = f"{looked_for.top}/{looked_for.inner}/train/{{ai,nature}}"
    if not found:
        raise ValueError(f"data root {root} has no generator of the search in it; expected e.g. {example}")
    raise ValueError(
        f"data root {root} lacks {', '.join(missing)} (expected e.g. {example}); it has {', '.join(found)}. "
        "Unzip what is missing or name other generators in the space file"
    )


def list_images(folder: Path, split: str, label: int) -> list[Path]:
    """Return the image files of one split and class of a generator, sorted by name."""
    directory = folder / split / CLASS_FOLDERS[label]
    if not directory.is_dir():
        raise ValueError(f"{directory} is missing; each split needs {' and '.join(CLASS_FOLDERS)}")
    return sorted(path for path in directory.iterdir() if path.suffix.lower() in EXTENSIONS)
