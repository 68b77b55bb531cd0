"""PURE: which detectors are trained on what, which generators are left out, and the objective."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal, get_args

from genimage_core.generators import GENIMAGE, Catalog
from genimage_core.metrics import Scores
from genimage_core.settings import derive_seed

TrainOn = Literal["one", "all_but_one", "all_but_family"]
Matrix = Mapping[str, Mapping[str, Scores]]  # fold name -> test generator -> scores


@dataclass(frozen=True)
class Fold:
    """One detector of a trial: what it is trained on and what it has not seen.

    Attributes:
        name: The training generator, or `all_but_…` for what is left out.
        train: Generators whose images train it.
        left_out: Search generators that neither it nor its base was trained on.
        off_family: Those of `left_out` that share no family with its training set or its base.
    """

    name: str
    train: tuple[str, ...]
    left_out: tuple[str, ...]
    off_family: tuple[str, ...]


@dataclass(frozen=True)
class Protocol:
    """The leave-generators-out protocol of one search.

    Attributes:
        train_on: `one` (the paper: one detector per generator), `all_but_one` or `all_but_family`.
        search: Generators that the search may see.
        sealed: Generators that nothing in the search may read.
        base_generators: Generators that the base weights were trained on; never counted as left out.
        catalog: The generators that there are, and their families.

    Raises:
        ValueError: If search and sealed overlap, a base generator is sealed, or no fold is left with an
            off-family generator to be judged on.
    """

    train_on: TrainOn
    search: tuple[str, ...]
    sealed: tuple[str, ...] = ()
    base_generators: tuple[str, ...] = ()
    catalog: Catalog = GENIMAGE

    def __post_init__(self) -> None:
        if self.train_on not in get_args(TrainOn):
            raise ValueError(f"train_on must be one of {', '.join(get_args(TrainOn))}, got {self.train_on!r}")
        for field in ("search", "sealed", "base_generators"):
            object.__setattr__(self, field, self.catalog.expand(getattr(self, field)))
        self._check_seal()
        if not any(fold.off_family for fold in self.folds):
            raise ValueError(
                f"search generators {', '.join(self.search)} leave no off-family generator to judge on; "
                "add a generator of another family"
            )

    def _check_seal(self) -> None:
        both = [name for name in self.search if name in self.sealed]
        if both:
            raise ValueError(f"search and sealed overlap: {', '.join(both)}; a generator can only be in one")
        opened = [name for name in self.base_generators if name in self.sealed]
        if opened:
            raise ValueError(f"the base was trained on sealed {', '.join(opened)}; seal other generators")

    @property
    def folds(self) -> tuple[Fold, ...]:
        """The detectors that every trial trains, in the order of the search generators."""
        return make_folds(self.train_on, self.search, self.base_generators, self.catalog)


def make_folds(
    train_on: TrainOn, generators: tuple[str, ...], base_generators: tuple[str, ...], catalog: Catalog
) -> tuple[Fold, ...]:
    """Return what is trained on what; a fold may leave nothing off-family, or nothing at all.

    Args:
        train_on: As of a `Protocol`.
        generators: Those that are trained and tested on.
        base_generators: Those that the base was trained on.
        catalog: The families of all of them.

    Raises:
        ValueError: If leaving one group out leaves none to train on, or a generator is unknown.
    """
    return tuple(
        _fold(name, train, generators, base_generators, catalog)
        for name, train in training_sets(train_on, generators, catalog).items()
    )


def _fold(
    name: str, train: tuple[str, ...], generators: tuple[str, ...], base: tuple[str, ...], catalog: Catalog
) -> Fold:
    seen = {*train, *base}
    families = {catalog.family_of(generator) for generator in seen}
    left_out = tuple(g for g in generators if g not in seen)
    return Fold(name, train, left_out, tuple(g for g in left_out if catalog.family_of(g) not in families))


def find_judges(train: Sequence[str], seen: Sequence[str], catalog: Catalog) -> tuple[str, ...]:
    """Return the training generators of a fold that can tell when its training should end.

    A judge, whose family is then not learnt, must be strange to the base, or it would measure what the base
    forgets; and another family must be left to learn from.

    Args:
        train: Training generators of the fold.
        seen: Generators that the base was trained on.
        catalog: Knows the families.
    """
    known = {catalog.family_of(name) for name in seen if name in catalog.names}
    several = len({catalog.family_of(name) for name in train}) > 1
    return tuple(name for name in train if several and catalog.family_of(name) not in known)


def hold_out(
    train: Sequence[str], seen: Sequence[str], catalog: Catalog, patience: int, seed: int
) -> tuple[str | None, tuple[str, ...]]:
    """Draw the training generator whose validation images decide when a training ends, if one does.

    Args:
        train: Training generators of the fold.
        seen: Generators that the base was trained on.
        catalog: Knows the families.
        patience: Of the training; with 0 none is held out.
        seed: Of the fold.

    Returns:
        The generator, and those that are left to learn from: nothing of its family.

    Raises:
        ValueError: If none of them can tell, see `find_judges`.
    """
    if not patience:
        return None, tuple(train)
    judges = find_judges(train, seen, catalog)
    if not judges:
        raise ValueError(
            "patience needs a training generator that is strange to the base and to the others, but there is "
            f"none among {', '.join(train)}; leave patience 0, or take another base"
        )
    judge = judges[derive_seed(seed, 1) % len(judges)]
    family = catalog.family_of(judge)
    return judge, tuple(name for name in train if catalog.family_of(name) != family)


def training_sets(train_on: TrainOn, search: tuple[str, ...], catalog: Catalog) -> dict[str, tuple[str, ...]]:
    """Return the generators that each fold is trained on, by the name of the fold.

    Raises:
        ValueError: If leaving one group out leaves none to train on.
    """
    if train_on == "one":
        return {name: (name,) for name in search}
    groups: dict[str, set[str]] = {}
    for name in search:
        groups.setdefault(name if train_on == "all_but_one" else catalog.family_of(name), set()).add(name)
    if len(groups) < 2:
        raise ValueError(
            f"train_on {train_on} needs at least two groups of search generators, got {', '.join(search)}"
        )
    return {
        f"all_but_{name}": tuple(g for g in search if g not in left_out) for name, left_out in groups.items()
    }


def summarise(folds: Sequence[Fold], matrix: Matrix) -> dict[str, float]:
    """Sum a cross-generator matrix up into the search's metrics.

    Every average is taken within a fold first, then over the folds that have such generators, so that no
    fold counts more because it leaves more generators out. Accuracies are balanced over real and fake.

    Args:
        folds: The detectors of the trial.
        matrix: Scores of every fold on every search generator.

    Returns:
        `off_family_accuracy`, `left_out_accuracy`, `worst_left_out`, `in_domain_accuracy`, and
        `average_precision` and `auroc` over the off-family generators.
    """

    def mean(field: str, cells: str) -> float:
        groups = [(fold, getattr(fold, cells)) for fold in folds if getattr(fold, cells)]
        return fmean(fmean(getattr(matrix[f.name][g], field) for g in names) for f, names in groups)

    left_out = [matrix[fold.name][g].accuracy for fold in folds for g in fold.left_out]
    return {
        "off_family_accuracy": mean("accuracy", "off_family"),
        "left_out_accuracy": mean("accuracy", "left_out"),
        "worst_left_out": min(left_out),
        "in_domain_accuracy": mean("accuracy", "train"),
        "average_precision": mean("average_precision", "off_family"),
        "auroc": mean("auroc", "off_family"),
    }


OBJECTIVES = ("off_family_accuracy", "left_out_accuracy", "worst_left_out", "average_precision", "auroc")
