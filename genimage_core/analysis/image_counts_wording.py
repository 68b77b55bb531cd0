"""PURE: the effect of the number of training images as a table, a record and sentences."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from genimage_core.analysis.wording import SEEDS_AND_IMAGES, interval, one_seed, spread

if TYPE_CHECKING:
    from genimage_core.analysis.image_counts import CountResult, Equal
    from genimage_core.protocol import Fold

HEAD = ("images", "steps", "in-domain [95 %]", "sd", "off-family [95 %]", "sd")
IN_DOMAIN, OFF_FAMILY = "in-domain", "off-family mean"


def cells(found: "CountResult") -> tuple[str, ...]:
    """One row of the printed table, as `HEAD`."""
    return (
        str(found.count),
        str(found.outcomes[0].steps),
        interval(found.in_domain.estimate),
        spread(found.in_domain),
        interval(found.off_family.estimate),
        spread(found.off_family),
    )


def rows(found: "Sequence[CountResult]") -> list[dict[str, object]]:
    """Rows of the CSV file: both means and every generator, by number of images."""
    return [
        {"images_per_class": one.count, "tested_on": name, **value.numbers(), "seeds": len(value.by_seed)}
        for one in found
        for name, value in (
            (IN_DOMAIN, one.in_domain),
            (OFF_FAMILY, one.off_family),
            *one.by_generator.items(),
        )
    ]


def record(found: "Sequence[CountResult]", fold: "Fold") -> dict[str, Any]:
    """All numbers as JSON values."""
    return {
        "interval": SEEDS_AND_IMAGES,
        "trained_on": list(fold.train),
        "off_family": list(fold.off_family),
        "counts": [_record(one) for one in found],
    }


def _record(found: "CountResult") -> dict[str, Any]:
    return {
        "images_per_class": found.count,
        "in_domain": found.in_domain.record(),
        "off_family": found.off_family.record(),
        "by_generator": {name: value.record() for name, value in found.by_generator.items()},
        "by_seed": [
            {
                "images": one.images,
                "passes": round(one.passes, 4),
                "steps": one.steps,
                "loss": round(one.loss, 6),
                "scores": {name: asdict(scores) for name, scores in one.scores.items()},
            }
            for one in found.outcomes
        ],
    }


def notes(found: "Sequence[CountResult]", fold: "Fold", equal: "Equal") -> Iterator[str]:
    """Say what was held equal, what the mean is over, and how much the numbers change."""
    yield _held_equal(found, equal)
    yield (
        "The images of a small number are among those of every larger one with the same seed. Off-family "
        f"mean: over {', '.join(fold.off_family)}."
    )
    if len(found) > 1:
        few, many = found[0], found[-1]
        changes = (
            (IN_DOMAIN, many.in_domain - few.in_domain),
            (OFF_FAMILY, many.off_family - few.off_family),
        )
        told = "; ".join(f"{name} {interval(value.estimate, signed=True)}" for name, value in changes)
        yield (
            f"From {few.count} to {many.count} images each, accuracy changes by: {told} (conservative: that "
            "both were tested on the same images is not made use of)."
        )
    yield from one_seed(found[0].in_domain, "another seed or other training images")


def _held_equal(found: "Sequence[CountResult]", equal: "Equal") -> str:
    if equal == "epochs":
        return (
            "The number of epochs is the same, so fewer images also mean fewer steps: the effects of images "
            "and of steps are not told apart here (--equal steps)."
        )
    few, many = found[0].outcomes[0], found[-1].outcomes[0]
    return (
        f"Every detector took {many.steps} steps, so that the length of training is not confounded with the "
        f"number of images: each image was seen {few.passes:.4g} times where there were fewest, "
        f"{many.passes:.4g} times where there were most."
    )
