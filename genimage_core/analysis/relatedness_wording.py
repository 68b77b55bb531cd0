"""PURE: related generators as a table, a record and sentences, beside the families of the catalogue."""

from typing import Any

import numpy as np

from genimage_core.generators import Catalog
from genimage_core.relatedness import Difference, Relatedness, differences

HEAD = ("generator", "suggested", "catalogue", "nearest", "similarity", "own")
NONE = "–"


def rows(found: Relatedness, catalogue: Catalog) -> list[dict[str, object]]:
    """One row per generator, in the order of the dendrogram, with the keys of `HEAD`.

    Number of its suggested family, family in the catalogue, which other is the most similar and how much, and
    the accuracy on its own images.
    """
    suggested = {name: place for place, members in enumerate(found.families, 1) for name in members}
    others = found.similarity - 2 * np.eye(len(found.names))
    return [
        {
            "generator": name,
            "suggested": suggested[name],
            "catalogue": catalogue.family_of(name) if name in catalogue.names else NONE,
            "nearest": found.names[int(others[place].argmax())],
            "similarity": round(float(others[place].max()), 4),
            "own": round(float(found.accuracy[place, place]), 4),
        }
        for place, name in enumerate(found.names)
    ]


def record(found: Relatedness, catalogue: Catalog, threshold: float) -> dict[str, Any]:
    """All numbers as JSON values."""
    return {
        "threshold": threshold,
        "linkage": "average",
        "generators": list(found.names),
        "similarity": found.similarity.round(6).tolist(),
        "merges": found.merges.round(6).tolist(),
        "suggested_families": [list(members) for members in found.families],
        "catalogue_families": {
            name: catalogue.family_of(name) if name in catalogue.names else None for name in found.names
        },
        "differences": [
            {"pair": list(d.pair), "similarity": round(d.similarity, 6), "together_here": d.together}
            for d in differences(found, catalogue.families)
        ],
    }


def sentences(found: Relatedness, catalogue: Catalog, threshold: float) -> tuple[str, ...]:
    """Name the suggested families, where they differ from the catalogue, and what weakens the suggestion."""
    said = [_families(found, threshold), *_comparison(found, catalogue)]
    weak = [n for i, n in enumerate(found.names) if found.accuracy[i, i] < threshold]
    if weak:
        said.append(
            f"Below {threshold:g} on the images of its own generator: {', '.join(weak)}. A detector that has "
            "not learnt its own generator does not tell who is related to it."
        )
    return tuple(said)


def _families(found: Relatedness, threshold: float) -> str:
    groups = [" + ".join(members) for members in found.families if len(members) > 1]
    alone = [members[0] for members in found.families if len(members) == 1]
    words = [*groups, f"alone: {', '.join(alone)}"] if alone else groups
    return f"Suggested families, similarity at least {threshold:g}: {'; '.join(words)}."


def _comparison(found: Relatedness, catalogue: Catalog) -> list[str]:
    said = [_differ(difference, catalogue) for difference in differences(found, catalogue.families)]
    strangers = [name for name in found.names if name not in catalogue.names]
    if not said and len(found.names) - len(strangers) >= 2:
        said.append("The suggested families are those of the catalogue.")
    if strangers:
        said.append(f"Not in the catalogue, so not compared: {', '.join(strangers)}.")
    return said


def _differ(difference: Difference, catalogue: Catalog) -> str:
    one, other = difference.pair
    pair = f"{one}, {other} ({difference.similarity:.3f})"
    if difference.together:
        families = f"{catalogue.family_of(one)} and {catalogue.family_of(other)}"
        return f"Together here, apart in the catalogue ({families}): {pair}."
    return f"Apart here, together in the catalogue ({catalogue.family_of(one)}): {pair}."
