"""PURE: which image classes are trained on and which are not, and which of their images serve for what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Chosen = list[tuple[Path, int]]  # file, label
Files = Mapping[str, tuple[Sequence[Path], Sequence[Path]]]  # image class -> its reals, its fakes


@dataclass(frozen=True)
class Sizes:
    """How much is drawn.

    Attributes:
        classes: Numbers of image classes to train on, ascending.
        train: Training images, so many reals and so many fakes, whatever the number of classes.
        test: Test images likewise, of the classes trained on and of the others.
    """

    classes: tuple[int, ...]
    train: int
    test: int

    @property
    def least(self) -> int:
        """Reals, and fakes, that a class must have: its share where the fewest classes are trained on."""
        fewest = self.classes[0]
        return -(-self.train // fewest) + -(-self.test // fewest)


@dataclass(frozen=True)
class Draw:
    """What one seed draws.

    Attributes:
        seen: Image classes in the order in which they are added: `k` classes are the first `k`.
        unseen: Image classes that no detector of this seed is trained on.
        train: Number of classes -> training images.
        test_seen: Number of classes -> test images of the same classes; none of them in any training.
        test_unseen: Test images of the others, the same for every number of classes.
    """

    seen: tuple[str, ...]
    unseen: tuple[str, ...]
    train: dict[int, Chosen]
    test_seen: dict[int, Chosen]
    test_unseen: Chosen

    @property
    def files(self) -> Chosen:
        """All of them, each once, nature first."""
        drawn = [*self.train.values(), *self.test_seen.values(), self.test_unseen]
        return sorted({pair for chosen in drawn for pair in chosen}, key=lambda pair: (pair[1], pair[0]))


def draw_classes(files: Files, sizes: Sizes, seed: int) -> Draw:
    """Draw classes and images by seed, reals and fakes from the same classes and equally many.

    Of every class, training takes from the front of its images in random order and testing from the back.
    With more classes each gives fewer: only which images there are changes, not how many.

    Raises:
        ValueError: If there are too few classes with enough images.
    """
    names = [name for name in sorted(files) if min(map(len, files[name])) >= sizes.least]
    most = sizes.classes[-1]
    if len(names) <= most:
        raise ValueError(_too_few(files, sizes, len(names)))
    order = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
    seen, unseen = order[:most], order[most:][: sizes.test]
    shuffled = {name: _shuffle(files[name], seed, place) for place, name in enumerate(names)}
    return Draw(
        seen=tuple(seen),
        unseen=tuple(unseen),
        train={k: _take(shuffled, seen[:k], sizes.train, front=True) for k in sizes.classes},
        test_seen={k: _take(shuffled, seen[:k], sizes.test, front=False) for k in sizes.classes},
        test_unseen=_take(shuffled, unseen, sizes.test, front=False),
    )


def _shuffle(both: tuple[Sequence[Path], Sequence[Path]], seed: int, place: int) -> list[list[Path]]:
    # One order for reals and fakes: where a real and a fake show one scene, as in `mini`, none of the two is
    # learnt while the other is tested.
    orders = [np.random.default_rng([seed, place]).permutation(len(paths)) for paths in both]
    return [[paths[i] for i in order] for paths, order in zip(both, orders, strict=True)]


def _take(
    shuffled: Mapping[str, list[list[Path]]], names: Sequence[str], total: int, *, front: bool
) -> Chosen:
    """Take `total` reals and as many fakes, evenly from the classes; the first give one more each."""
    each, more = divmod(total, len(names))
    chosen: Chosen = []
    for place, name in enumerate(names):
        count = each + (place < more)
        for label, paths in enumerate(shuffled[name]):
            part = paths[:count] if front else paths[len(paths) - count :]
            chosen += [(path, label) for path in part]
    return chosen


def _too_few(files: Files, sizes: Sizes, enough: int) -> str:
    fullest = max((min(map(len, both)) for both in files.values()), default=0)
    return (
        f"--classes {sizes.classes[-1]} needs at least {sizes.classes[-1] + 1} image classes with "
        f"{sizes.least} reals and {sizes.least} fakes each (--train-images {sizes.train} and --test-images "
        f"{sizes.test} from as few as {sizes.classes[0]}), there are {enough} (of {len(files)} with any; the "
        f"fullest has {fullest}); lower --train-images, --test-images or the largest of --classes, or raise "
        "its smallest"
    )
