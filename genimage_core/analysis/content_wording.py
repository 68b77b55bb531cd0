"""PURE: content generalisation as tables, a record and sentences."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from genimage_core.analysis.domain_files import file_notes
from genimage_core.analysis.wording import interval
from genimage_core.data.layout import CLASS_FOLDERS

if TYPE_CHECKING:
    from genimage_core.analysis.content import Domain
    from genimage_core.detectors.info import CheckpointInfo

INTERVAL = (
    "95 %, over test images: Wilson, MOVER, bootstrap for AP and AUROC; differences: independent samples"
)


def head(own: "Domain", other: "Domain") -> tuple[str, ...]:
    """Name the columns of the table that compares two domains."""
    return ("", f"{own.name} [95 %]", f"{other.name} [95 %]", "difference [95 %]")


def cells(own: "Domain", other: "Domain") -> list[tuple[str, ...]]:
    """Rows of that table, one for every number."""
    here, there, change = own.scores(), other.scores(), other.minus(own)
    return [
        (name, interval(here[name]), interval(there[name]), interval(change[name], signed=True))
        for name in here
    ]


def rows(own: "Domain", others: "Sequence[Domain]") -> list[dict[str, object]]:
    """Rows of the CSV file: every number of every domain, its difference to the detector's own."""
    return [
        {
            "domain": domain.name,
            "number": name,
            **_rounded("", asdict(value)),
            **_rounded("difference_", asdict(domain.minus(own)[name]) if domain is not own else {}),
            "images": domain.cell.images,
        }
        for domain in (own, *others)
        for name, value in domain.scores().items()
    ]


def _rounded(prefix: str, numbers: dict[str, float]) -> dict[str, object]:
    return {f"{prefix}{key}": round(numbers[key], 4) if numbers else "" for key in ("value", "low", "high")}


def record(own: "Domain", others: "Sequence[Domain]") -> dict[str, Any]:
    """All numbers as JSON values."""
    return {
        "interval": INTERVAL,
        "own": _record(own),
        "others": [
            _record(other) | {"difference": {name: asdict(v) for name, v in other.minus(own).items()}}
            for other in others
        ],
    }


def _record(domain: "Domain") -> dict[str, Any]:
    return {
        "name": domain.name,
        "generators": list(domain.generators),
        "images": domain.cell.images,
        "scores": {name: asdict(value) for name, value in domain.scores().items()},
        "files": {name: asdict(files) for name, files in zip(CLASS_FOLDERS, domain.files, strict=True)},
    }


def notes(own: "Domain", others: "Sequence[Domain]", info: "CheckpointInfo") -> Iterator[str]:
    """Say how the images were read, and what else than content the differences contain."""
    yield (
        f"All images were read as in the detector's training: format_alignment {info.format_alignment}, crop "
        f"{info.crop}, {info.image_size} px. Intervals are over test images, for this one detector."
    )
    for other in others:
        strange = [name for name in other.generators if name not in info.generators]
        if strange:
            yield (
                f"{other.name}: the detector was not trained on {', '.join(strange)}, so the difference "
                "contains the generator as well as the content."
            )
        cropped = info.crop != "resize"
        yield from file_notes(other.name, own.files, other.files, info.image_size, cropped=cropped)
    if info.simulated:
        yield "The detector was trained on SIMULATED images."
