"""PURE: what kind of files two domains have, and where they differ: what a detector may see but content."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from genimage_core.data.layout import CLASS_FOLDERS

FORMAT_SHARE = 0.05  # from here on differences are told: of a share of formats,
SIDE = 0.1  # of the median side, relative,
QUALITY = 2  # of the median JPEG quality


@dataclass(frozen=True)
class FileSummary:
    """The files of one class of a domain.

    Attributes:
        formats: Format -> its share, the most frequent first.
        side: Median of √(width · height), in pixels.
        shortest: Shortest side of all, in pixels.
        quality: Median JPEG quality; None without JPEGs of a known one.
    """

    formats: dict[str, float]
    side: float
    shortest: int
    quality: float | None

    def __str__(self) -> str:
        formats = ", ".join(f"{name} {share:.0%}" for name, share in self.formats.items())
        quality = "" if self.quality is None else f", quality {self.quality:g}"
        return f"{formats}, {self.side:.0f} px{quality}"


Both = tuple[FileSummary, FileSummary]  # nature, ai


def summarise_files(table: pd.DataFrame) -> Both:
    """Sum up an index table of a domain, as `data.run_audit.tabulate` gives it, class by class."""
    nature, ai = (_summarise(table[table["label"] == label]) for label in range(len(CLASS_FOLDERS)))
    return nature, ai


def _summarise(table: pd.DataFrame) -> FileSummary:
    there = table.dropna(subset=["format", "width", "height"])
    qualities = there["quality"].dropna()
    return FileSummary(
        formats={str(k): float(v) for k, v in there["format"].value_counts(normalize=True).items()},
        side=float(((there["width"] * there["height"]).astype(float) ** 0.5).median()),
        shortest=int(there[["width", "height"]].min().min()),
        quality=float(qualities.median()) if len(qualities) else None,
    )


def shared_files(own: pd.DataFrame, other: pd.DataFrame) -> list[str]:
    """Paths in `other` of files that are byte for byte in `own` too."""
    same = other["content"].isin(own["content"].dropna())
    return sorted(other.loc[same, "path"])


def file_notes(name: str, own: Both, other: Both, size: int, *, cropped: bool) -> Iterator[str]:
    """Say what else than content tells the domain `name` from a detector's own.

    Args:
        name: Of the other domain.
        own: Files of the detector's own domain.
        other: Those of the other.
        size: Side of the square that the detector sees, in pixels.
        cropped: Whether it is cut at native scale, so that smaller images are continued by reflection.
    """
    told = [
        f"{kind} {there} (own domain: {here})"
        for kind, here, there in zip(("reals", "fakes"), own, other, strict=True)
        if _differ(here, there)
    ]
    if told:
        yield (
            f"{name} differs in its files, not only in content: {'; '.join(told)}. A difference in accuracy "
            "may come from formats, sizes or compression."
        )
    if set(other[0].formats) != set(other[1].formats):
        kinds = " and ".join("/".join(one.formats) for one in other)
        yield (
            f"{name}: reals and fakes have different file formats ({kinds}), so that accuracy there may rest "
            "on the compression: a shortcut."
        )
    small = [kind for kind, one in zip(("reals", "fakes"), other, strict=True) if one.shortest < size]
    if cropped and small:
        yield f"{name} has {' and '.join(small)} smaller than {size} px, which are continued by reflection."


def _differ(one: FileSummary, other: FileSummary) -> bool:
    names = {*one.formats, *other.formats}
    moved = sum(abs(one.formats.get(name, 0) - other.formats.get(name, 0)) for name in names) / 2
    if one.quality is None or other.quality is None:
        compressed = one.quality != other.quality
    else:
        compressed = abs(one.quality - other.quality) > QUALITY
    return moved > FORMAT_SHARE or compressed or abs(one.side / other.side - 1) > SIDE
