"""PURE: image-class generalisation as a table, a record and sentences."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from genimage_core.analysis.wording import SEEDS_AND_IMAGES, interval, one_seed

if TYPE_CHECKING:
    from genimage_core.analysis.class_draw import Draw, Sizes
    from genimage_core.analysis.image_classes import ClassResult

HEAD = ("classes", "seen [95 %]", "unseen [95 %]", "difference [95 %]")
DIFFERENCE = "seen − unseen"
NAMED_AT_MOST = 8  # classes in a sentence


def cells(found: "ClassResult") -> tuple[str, ...]:
    """One row of the printed table, as `HEAD`."""
    return (
        str(found.classes),
        interval(found.seen.estimate),
        interval(found.unseen.estimate),
        interval(found.difference.estimate, signed=True),
    )


def rows(found: "Sequence[ClassResult]") -> list[dict[str, object]]:
    """Rows of the CSV file: seen, unseen and their difference, by number of classes."""
    return [
        {"classes": one.classes, "tested_on": name, **value.numbers(), "seeds": len(value.by_seed)}
        for one in found
        for name, value in (("seen", one.seen), ("unseen", one.unseen), (DIFFERENCE, one.difference))
    ]


def record(found: "Sequence[ClassResult]", draws: "Mapping[int, Draw]", sizes: "Sizes") -> dict[str, Any]:
    """All numbers as JSON values, with the classes that every seed drew."""
    return {
        "interval": SEEDS_AND_IMAGES,
        "train_images": sizes.train,
        "test_images": sizes.test,
        "drawn": [
            {"seed": seed, "seen": list(draw.seen), "unseen": list(draw.unseen)}
            for seed, draw in draws.items()
        ],
        "results": [_record(one) for one in found],
    }


def _record(found: "ClassResult") -> dict[str, Any]:
    return {
        "classes": found.classes,
        "seen": found.seen.record(),
        "unseen": found.unseen.record(),
        "difference": found.difference.record(),
        "by_seed": [
            {
                "images": one.images,
                "steps": one.steps,
                "loss": round(one.loss, 6),
                "scores": {name: asdict(scores) for name, scores in one.scores.items()},
            }
            for one in found.outcomes
        ],
    }


def notes(
    found: "Sequence[ClassResult]",
    draws: "Mapping[int, Draw]",
    sizes: "Sizes",
    unknown: tuple[int, int],
    split: str,
) -> Iterator[str]:
    """Say what was held equal, which images were tested, and what is not known of the files.

    Args:
        found: By number of classes.
        draws: By seed.
        sizes: What was drawn.
        unknown: Reals and fakes that tell no class.
        split: Where all images come from.
    """
    yield (
        f"Every detector was trained on {sizes.train} reals and {sizes.train} fakes, whatever the number of "
        f"classes, in {found[0].outcomes[0].steps} steps. Unseen classes and their test images are the same "
        "for every number of classes; classes of a smaller number are among those of a larger one."
    )
    yield (
        f"Test images ({sizes.test} reals and {sizes.test} fakes each) come from {split} too, but are never "
        "trained on."
    )
    yield "; ".join(_drawn(seed, draw) for seed, draw in draws.items()) + "."
    if len(draws) > 1 and len({frozenset(draw.seen) for draw in draws.values()}) == 1:
        yield "All seeds drew the same classes: what others would give is not in the intervals."
    if any(unknown):
        yield f"Left out because their files tell no class: {unknown[0]} reals, {unknown[1]} fakes."
    yield from one_seed(found[0].seen, "other classes or another seed")


def _drawn(seed: int, draw: "Draw") -> str:
    return f"Seed {seed}: seen {_named(draw.seen)}; unseen {_named(draw.unseen)}"


def _named(names: Sequence[str]) -> str:
    more = ", …" if len(names) > NAMED_AT_MOST else ""
    return f"{len(names)} ({', '.join(names[:NAMED_AT_MOST])}{more})"
