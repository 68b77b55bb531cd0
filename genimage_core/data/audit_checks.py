"""How well facts about the files alone tell real from fake: a small tree, cross-validated."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.tree import DecisionTreeClassifier

from genimage_core.data.alignment import LOSSLESS
from genimage_core.data.pixels import LOSSLESS_FORMATS

ALIGNMENTS = ("none", "jpeg96", "jpeg96_both", "match_quality")
SINGLE = ("format", "size", "quality", "bytes")
FEATURES = (*SINGLE, "all")
VISIBLE = ("format", "quality")  # what a crop at native scale can still carry; it hides size and bytes
PLAN = tuple((a, f) for a in ALIGNMENTS for f in (FEATURES if a == "none" else VISIBLE))

FEWEST, MOST = 20, 2000  # rows per class
FOLDS, LEAF = 5, 5
# No bound where there are few values, each of which may tell; a deep tree would learn bytes by heart.
DEPTH = {"format": None, "size": None, "quality": None, "bytes": 5, "all": 12}
LEVEL = 0.05  # chance that clean data give any alarm
RELEVANT = 0.52  # less is no shortcut worth a warning, however many files there are
UNKNOWN = -1.0  # a missing value is a value that the tree may use


@dataclass(frozen=True)
class Check:
    """Accuracy of the tree on one generator.

    Attributes:
        alignment: The format alignment that the files are judged after.
        features: What the tree sees, one of `FEATURES`.
        accuracy: Balanced accuracy of the out-of-fold predictions, 0 to 1.
        low: Lower end of the interval, which holds jointly with all other checks of the audit.
        high: Upper end.
        rows: Files per class.
        above_chance: Whether `low` is above 0.5 and `accuracy` above 0.52.
    """

    alignment: str
    features: str
    accuracy: float
    low: float
    high: float
    rows: int
    above_chance: bool


def balanced(rows: pd.DataFrame, seed: int) -> pd.DataFrame | None:
    """Return as many real as fake readable files, each content once per class; None if there are too few.

    Copies would let the tree recognise in one fold what it learned by heart in another.

    Args:
        rows: Index rows of one generator.
        seed: Decides which files are taken.
    """
    copies = rows.duplicated(["label", "content"]) & rows["content"].notna()
    readable = rows[rows["error"].isna() & ~copies]
    classes = [readable[readable["label"] == label] for label in (0, 1)]
    count = min(MOST, *map(len, classes))
    if count < FEWEST:
        return None
    return pd.concat([rows.sample(count, random_state=seed) for rows in classes], ignore_index=True)


def align(rows: pd.DataFrame, alignment: str, pool: "pd.Series[int]", seed: int) -> pd.DataFrame:
    """Give the files the format and the quality of their last encoding after `alignment`.

    Args:
        rows: Index rows of one generator.
        alignment: One of `ALIGNMENTS`.
        pool: What `match_quality` draws from; it changes nothing if that is empty.
        seed: Decides the drawn qualities.
    """
    if alignment == "none" or (alignment == "match_quality" and pool.empty):
        return rows
    chosen = rows["label"].ge(0) if alignment == "jpeg96_both" else rows["label"].eq(1)
    quality = rows["quality"].copy()
    if alignment == "match_quality":
        drawn = np.random.default_rng(seed).choice(pool.to_numpy(int), len(rows))
        chosen &= drawn != LOSSLESS  # those stay as they are
        quality[chosen] = drawn[chosen]
    else:
        quality[chosen] = 96
    return rows.assign(format=rows["format"].astype(object).mask(chosen, "JPEG"), quality=quality)


def known_qualities(rows: pd.DataFrame) -> "pd.Series[int]":
    """Return the JPEG qualities of the readable real files, where known; `LOSSLESS` for those without.

    Empty if not one is known: then there is nothing to match.
    """
    real = rows[rows["label"].eq(0) & rows["error"].isna()]
    lossless = real["format"].isin(LOSSLESS_FORMATS)
    known = real["quality"].mask(lossless, LOSSLESS).dropna()
    return known if (known != LOSSLESS).any() else known[:0]


def check(
    rows: pd.DataFrame, alignment: str, features: str, *, pool: "pd.Series[int]", tests: int, seed: int
) -> Check:
    """Measure how well a tree that sees only `features` tells real from fake.

    Args:
        rows: Balanced rows of one generator.
        alignment: One of `ALIGNMENTS`.
        features: One of `FEATURES`.
        pool: `known_qualities` of all files of the generator.
        tests: Checks in the whole audit; the intervals hold jointly (Bonferroni, Clopper-Pearson).
        seed: Decides folds and drawn qualities.
    """
    seen = _matrix(align(rows, alignment, pool, seed), features)
    right = _right(seen, rows["label"].to_numpy(), DEPTH[features], seed)
    accuracy = right / len(rows)
    interval = binomtest(right, len(rows)).proportion_ci(1 - LEVEL / tests, method="exact")
    above = bool(interval.low > 0.5 and accuracy > RELEVANT)
    return Check(
        alignment, features, accuracy, float(interval.low), float(interval.high), len(rows) // 2, above
    )


def _right(seen: NDArray[np.float64], labels: NDArray[np.int8], depth: int | None, seed: int) -> int:
    """Count the files that are told right by a tree which has not seen them."""
    if (seen == seen[0]).all():  # one and the same for every file: nothing to learn from
        return len(seen) // 2
    tree = DecisionTreeClassifier(max_depth=depth, min_samples_leaf=LEAF, random_state=seed)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    return int((cross_val_predict(tree, seen, labels, cv=folds) == labels).sum())


def _matrix(rows: pd.DataFrame, features: str) -> NDArray[np.float64]:
    names = SINGLE if features == "all" else (features,)
    return np.column_stack([column for name in names for column in _columns(rows, name)])


def _columns(rows: pd.DataFrame, feature: str) -> list[NDArray[np.float64]]:
    if feature == "format":
        return [pd.factorize(rows["format"], sort=True)[0].astype(float)]  # unknown: -1
    if feature == "size":
        width, height = _numbers(rows["width"]), _numbers(rows["height"])
        return [width, height, width / height]
    return [_numbers(rows[feature])]


def _numbers(column: "pd.Series[int]") -> NDArray[np.float64]:
    return np.asarray(column.astype("Float64").fillna(UNKNOWN), dtype=np.float64)
