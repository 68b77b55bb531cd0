"""PURE: easy generators first, the others as training goes on.

Source: Bengio et al., "Curriculum learning", ICML 2009.
"""

import math
from collections.abc import Mapping, Sequence

from genimage_core.settings import require

NONE, MEASURED = "none", "measured"


def read_order(curriculum: str) -> tuple[str, ...]:
    """Return the generators that a curriculum lists, easiest first; none for `none` and `measured`."""
    if curriculum in (NONE, MEASURED):
        return ()
    return tuple(name.strip() for name in curriculum.split(","))


def easiest_first(
    train: Sequence[str], curriculum: str, accuracy: Mapping[str, float] | None = None
) -> tuple[str, ...]:
    """Order the training generators of a fold.

    Args:
        train: Generators.
        curriculum: `none`, `measured`, or names separated by commas, the easiest first.
        accuracy: Of the base on each, where the curriculum is measured.

    Raises:
        ValueError: If a listed curriculum leaves a generator out.
    """
    if curriculum == NONE:
        return tuple(train)
    if curriculum == MEASURED:
        known = accuracy or {}
        return tuple(sorted(train, key=lambda name: -known[name]))
    order = read_order(curriculum)
    missing = [name for name in train if name not in order]
    if missing:
        raise ValueError(f"curriculum must name every training generator, it lacks {', '.join(missing)}")
    return tuple(name for name in order if name in train)


def check_curriculum(
    trainings: Sequence[Sequence[str]], generators: Sequence[str], curriculum: str, bases: Sequence[str]
) -> None:
    """Refuse a curriculum without effect, one that cannot be measured, and one that is no order.

    Args:
        trainings: Generators that each detector is trained on.
        generators: All of them.
        curriculum: `none`, `measured`, or names.
        bases: What the detectors start from.

    Raises:
        ValueError: With what is allowed.
    """
    if curriculum == NONE:
        return
    several = all(len(train) > 1 for train in trainings)
    require(several, "curriculum", curriculum, "none where a detector is trained on one generator")
    if curriculum == MEASURED:
        trained = all(base.startswith(("generator:", "checkpoint:")) for base in bases)
        allowed = "an order: only a base generator:NAME or checkpoint:PATH can measure"
        require(trained, "curriculum", curriculum, allowed)
    else:
        check_order(generators, curriculum)


def check_order(generators: Sequence[str], curriculum: str) -> None:
    """Refuse a listed curriculum that is not an order of these generators.

    Raises:
        ValueError: Naming what is missing, unknown or there twice.
    """
    order = easiest_first(generators, curriculum)
    for name in (listed := read_order(curriculum)):
        if name not in order:
            raise ValueError(f"curriculum names {name!r}, which is none of {', '.join(generators)}")
        if listed.count(name) > 1:
            raise ValueError(f"curriculum names {name} twice")


def learnt_at(order: Sequence[str], epoch: int, epochs: int) -> tuple[str, ...]:
    """Return the generators that are learnt in an epoch, counted from 0.

    The first epoch has at least one; the number rises linearly until, with half of the epochs, all are there.
    """
    rising = math.ceil(epochs / 2)
    return tuple(order[: min(len(order), math.ceil(len(order) * (epoch + 1) / rising))])
