"""PURE: which generators are alike, by how well the detector of one does on the images of the other.

Average-linkage clustering (Sokal and Michener 1958, as in scipy) of a cross-generator matrix of balanced
accuracies. A detector that goes on working on the images of another generator has learnt what both share, as
a rule a decoder.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import squareform

from genimage_core.settings import require

Floats = NDArray[np.float64]

CHANCE = 0.5
KEYS = ("rows", "columns", "accuracy")
_ROUNDING = 1e-9


@dataclass(frozen=True)
class CrossMatrix:
    """Balanced accuracies of detectors on generators.

    Attributes:
        rows: Generators that the detectors were trained on.
        columns: Generators that they were tested on.
        accuracy: Shape (rows, columns), within [0, 1].

    Raises:
        ValueError: If a name is there twice, the shape does not fit or a value is out of range.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    accuracy: Floats

    def __post_init__(self) -> None:
        for key, names in (("rows", self.rows), ("columns", self.columns)):
            twice = sorted({name for name in names if names.count(name) > 1})
            require(not twice, key, ", ".join(twice), "different names; twice there")
        expected = (len(self.rows), len(self.columns))
        require(self.accuracy.shape == expected, "accuracy", self.accuracy.shape, f"of shape {expected}")
        for row, column in np.argwhere(~((self.accuracy >= 0) & (self.accuracy <= 1))).tolist():
            where = f"accuracy of {self.rows[row]} on {self.columns[column]}"
            require(False, where, float(self.accuracy[row, column]), "within [0, 1]")

    @property
    def generators(self) -> tuple[str, ...]:
        """Those that are rows and columns, by name: the order of the matrix is not to decide a tie."""
        return tuple(sorted(set(self.rows) & set(self.columns)))


@dataclass(frozen=True)
class Relatedness:
    """Generators in the order of the dendrogram.

    Attributes:
        names: The generators, neighbours alike; n at least 2.
        accuracy: Trained on (rows), tested on (columns), (n, n).
        similarity: Mean of the accuracies of both ways, (n, n), symmetric.
        merges: (n - 1, 4): which two are merged (as scipy numbers them, leaf i = `names[i]`), at which
            distance, and how many leaves they then are.
        families: Names by flat cluster, in that order.
    """

    names: tuple[str, ...]
    accuracy: Floats
    similarity: Floats
    merges: Floats
    families: tuple[tuple[str, ...], ...]

    def between(self, one: str, other: str) -> float:
        """Similarity of two generators."""
        return float(self.similarity[self.names.index(one), self.names.index(other)])


@dataclass(frozen=True)
class Difference:
    """Two generators that are in one family here and in two there, or the other way round.

    Attributes:
        pair: Their names.
        similarity: How well their detectors transfer.
        together: Whether they are together in the suggested families.
    """

    pair: tuple[str, str]
    similarity: float
    together: bool


def read_matrix(content: Mapping[str, Any]) -> CrossMatrix:
    """Read what JSON holds: {"rows": [names], "columns": [names], "accuracy": [[numbers]]}; more is ignored.

    Raises:
        ValueError: If a key is missing or its value is of another kind; also as `CrossMatrix`.
    """
    missing = [key for key in KEYS if key not in content]
    require(not missing, "the matrix", sorted(map(str, content)), f"keys {', '.join(KEYS)} at least")
    for key in ("rows", "columns"):
        names = content[key]
        good = isinstance(names, list) and bool(names) and all(isinstance(name, str) for name in names)
        require(good, key, names, "a list of names")
    values = content["accuracy"]
    good = isinstance(values, list) and all(isinstance(row, list) for row in values)
    good = good and all(type(value) in (int, float) for row in values for value in row)
    require(good, "accuracy", type(values).__name__, "a list of rows of numbers")
    wanted = f"{len(content['rows'])} rows of {len(content['columns'])} numbers"
    sizes = [len(row) for row in values]
    require(sizes == [len(content["columns"])] * len(content["rows"]), "accuracy", sizes, wanted)
    try:
        accuracy = np.array(values, dtype=np.float64)
    except OverflowError:
        raise ValueError("accuracy must be within [0, 1], got a number too large for a float") from None
    return CrossMatrix(tuple(content["rows"]), tuple(content["columns"]), accuracy)


def distance_of(similarity: Floats) -> Floats:
    """Turn similarities into distances within [0, 1]: 0 at 1, and 1 at chance and below it."""
    distance: Floats = 1 - np.clip((np.asarray(similarity) - CHANCE) / (1 - CHANCE), 0, 1)
    return distance


def relate(matrix: CrossMatrix, threshold: float) -> Relatedness:
    """Cluster the generators that are both rows and columns.

    Args:
        matrix: The accuracies.
        threshold: Clusters are families as long as the mean similarity of what is merged is at least this
            (similarities below chance counted as chance); above 0.5, at most 1.

    Raises:
        ValueError: If the threshold is out of range or fewer than two generators are rows and columns.
    """
    require(CHANCE < threshold <= 1, "threshold", threshold, "above 0.5 and at most 1")
    names = matrix.generators
    require(
        len(names) >= 2, "the matrix", ", ".join(names), "one with at least 2 generators as row and column"
    )
    accuracy = _square(matrix, names)
    similarity = (accuracy + accuracy.T) / 2
    distance = squareform(distance_of(similarity), checks=False)
    merges = optimal_leaf_ordering(linkage(distance, "average"), distance)
    order = leaves_list(merges)
    flat = fcluster(merges, distance_of(np.array(threshold)) + _ROUNDING, "distance")
    pick = np.ix_(order, order)
    ordered = tuple(names[i] for i in order)
    families = _families(ordered, flat[order].tolist())
    return Relatedness(ordered, accuracy[pick], similarity[pick], _renumbered(merges, order), families)


def differences(found: Relatedness, families: Mapping[str, Sequence[str]]) -> tuple[Difference, ...]:
    """Say where the suggested families are not those that are known.

    Args:
        found: The suggestion; generators that are in no known family are passed over.
        families: Name -> members.

    Returns:
        Pairs, those that are together here first, in the order of the dendrogram.
    """
    known = {name: family for family, members in families.items() for name in members}
    here = {name: number for number, members in enumerate(found.families) for name in members}
    pairs = [
        Difference((one, other), found.between(one, other), here[one] == here[other])
        for one, other in combinations([name for name in found.names if name in known], 2)
        if (here[one] == here[other]) != (known[one] == known[other])
    ]
    return tuple(sorted(pairs, key=lambda pair: not pair.together))


def _square(matrix: CrossMatrix, names: Sequence[str]) -> Floats:
    rows, columns = ([where.index(name) for name in names] for where in (matrix.rows, matrix.columns))
    square: Floats = matrix.accuracy[np.ix_(rows, columns)]
    return square


def _families(names: Sequence[str], numbers: Sequence[int]) -> tuple[tuple[str, ...], ...]:
    members: dict[int, tuple[str, ...]] = {}
    for name, number in zip(names, numbers, strict=True):
        members[number] = (*members.get(number, ()), name)
    return tuple(members.values())


def _renumbered(merges: Floats, order: NDArray[np.integer]) -> Floats:
    """Number the leaves of a linkage by their place in the dendrogram."""
    place = np.arange(2 * len(order) - 1)
    place[order] = np.arange(len(order))
    renumbered = merges.copy()
    renumbered[:, :2] = place[merges[:, :2].astype(int)]
    return renumbered
