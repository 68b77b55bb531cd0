"""PURE: the spectra of several generators as a table, a record and sentences of warning."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from genimage_core.data.layout import CLASS_FOLDERS
from genimage_core.spectral_distance import DRAWS, Distance

if TYPE_CHECKING:
    from genimage_core.analysis.class_files import ClassFiles
    from genimage_core.analysis.measure import GeneratorSpectra

HEAD = ("generator", "images", "radial, dB [95 %]", "floor", "2-D, dB [95 %]", "floor")
METHOD = "luma, Hann window, mean taken off; 0 dB is white noise of variance 1 at pixels of full scale 1"
CAPTION = "floor: chance alone exceeds it in 5 % of cases; compare with it, not with zero"


def title(split: str, alignment: str, *, simulated: bool = False) -> str:
    """Name what is shown and the format alignment that it was measured under."""
    what = "SIMULATED reals and fakes" if simulated else "reals and fakes"
    return f"Spectra of {what} ({split}), format_alignment: {alignment}"


def cells(found: "GeneratorSpectra") -> tuple[str, ...]:
    """One row of the printed table, as `HEAD`."""
    radial, plane = found.radial_distance, found.plane_distance
    images = " / ".join(str(files.images) for files in found.files)
    return (
        found.name,
        images,
        _interval(radial),
        f"{radial.floor:.2f}",
        _interval(plane),
        f"{plane.floor:.2f}",
    )


def row(found: "GeneratorSpectra") -> dict[str, object]:
    """One row of the CSV file; distances in dB."""
    counts = {f"{name}_images": files.images for name, files in zip(CLASS_FOLDERS, found.files, strict=True)}
    kinds = {
        f"{name}_formats": " ".join(f"{kind}:{count}" for kind, count in files.formats.items())
        for name, files in zip(CLASS_FOLDERS, found.files, strict=True)
    }
    numbers = {
        f"{kind}_{key}": round(value, 4)
        for kind, distance in (("radial", found.radial_distance), ("plane", found.plane_distance))
        for key, value in asdict(distance).items()
    }
    return {"generator": found.name, **counts, **numbers, **kinds}


def record(found: "Sequence[GeneratorSpectra]", said: Sequence[str]) -> dict[str, Any]:
    """All numbers as JSON values, but for the planes: they lie beside it."""
    return {
        "method": METHOD,
        "draws": DRAWS,
        "notes": list(said),
        "planes.npy": "log power in dB: generator, class (nature, ai), row, column of the half spectrum",
        "generators": {one.name: _record(one) for one in found},
    }


def _record(found: "GeneratorSpectra") -> dict[str, Any]:
    radial = {name: _rounded(curve) for name, curve in zip(CLASS_FOLDERS, found.radial, strict=True)}
    return {
        "title": found.title,
        "fingerprint": found.fingerprint,
        "files": {name: asdict(files) for name, files in zip(CLASS_FOLDERS, found.files, strict=True)},
        "radial_distance_db": asdict(found.radial_distance),
        "plane_distance_db": asdict(found.plane_distance),
        "frequency_cycles_per_pixel": [round(float(f), 6) for f in found.frequency],
        "radial_power_db": radial,
    }


def notes(found: "Sequence[GeneratorSpectra]", alignment: str, size: int) -> tuple[str, ...]:
    """Say what else than the generator the distances contain."""
    said = (_compression(found, alignment), _reflection(found, size), _within_floor(found))
    return tuple(sentence for sentence in said if sentence)


def _compression(found: "Sequence[GeneratorSpectra]", alignment: str) -> str:
    mixed = [f for f in found if set(f.files[0].formats) != set(f.files[1].formats)]
    if not mixed:
        return ""
    first = mixed[0].files
    kinds = f"reals {', '.join(first[0].formats)}, fakes {', '.join(first[1].formats)}"
    consequence = (
        "the distance contains the compression; compare with --alignment jpeg96_both or match_quality"
        if alignment == "none"
        else f"after {alignment} the distance still contains what earlier compression left in one class"
    )
    return f"Different file formats ({_names(mixed)}: {kinds}): {consequence}."


def _reflection(found: "Sequence[GeneratorSpectra]", size: int) -> str:
    small = [f for f in found if f.files[0].small or f.files[1].small]
    if not small:
        return ""
    counts = "; ".join(f"{f.name}: {_small(f.files[0])} reals, {_small(f.files[1])} fakes" for f in small)
    return (
        f"Smaller than {size} pixels and continued by reflection, which shows in a spectrum ({counts}): "
        "lower --image-size."
    )


def _small(files: "ClassFiles") -> str:
    return f"{files.small} of {files.images}"


def _within_floor(found: "Sequence[GeneratorSpectra]") -> str:
    within = [
        f"{f.name} ({kind})"
        for f in found
        for kind, distance in (("radial", f.radial_distance), ("2-D", f.plane_distance))
        if distance.value <= distance.floor
    ]
    if not within:
        return ""
    return (
        f"Not above the floor, so that no difference is shown: {', '.join(within)}. The floor is mostly the "
        "content of the images; it falls with more of them (--per-class)."
    )


def _names(found: "Sequence[GeneratorSpectra]") -> str:
    return ", ".join(f.name for f in found)


def _interval(distance: Distance) -> str:
    return f"{distance.value:.2f} [{distance.low:.2f}, {distance.high:.2f}]"


def _rounded(values: Any) -> list[float]:
    return [round(float(value), 4) for value in values]
