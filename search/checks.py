"""What is checked of a run before anything is written, begun or waited for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from genimage_core.cache import cache_folder
from genimage_core.detectors.catalogue import check_detector
from genimage_core.protocol import Protocol, hold_out
from genimage_core.settings import require
from search.base import Base, find_bases
from search.cluster import ResourcePlan, plan_resources
from search.finalists import read_summary
from search.inputs import check_inputs, check_tests
from search.sections import ResourcesSection
from search.space import Space, build_protocol
from search.warm_start import TakenOver

Step = Literal["search", "finalists"]
NOTHING = TakenOver()


@dataclass(frozen=True)
class Checked:
    """A run of which everything that can be refused beforehand has been checked; nothing is written yet.

    Attributes:
        space: What is searched.
        protocol: Folds, left-out and sealed generators.
        bases: Weights that trials start from, by name, the baseline's first.
        generators: Those that are read: the search's, and the base's if it is to be trained.
        run_dir: Where the records will be.
        cache: Where data, decoded images and base weights are kept.
        address: Ray cluster to join; None for an instance of its own.
        resumed: Whether the run directory holds the beginning of this run.
        taken: What it has from a run before it.
        steps: What is done: the search, its finalists, or one after the other.
    """

    space: Space
    protocol: Protocol
    bases: Mapping[str, Base]
    generators: tuple[str, ...]
    run_dir: Path
    cache: Path
    address: str | None
    resumed: bool = False
    taken: TakenOver = NOTHING
    steps: tuple[Step, ...] = get_args(Step)

    @property
    def searches(self) -> bool:
        """Whether trials of the search are run: not any more, once its finalists are chosen."""
        return "search" in self.steps and read_summary(self.run_dir) is None


def check(
    space: Space,
    run_dir: Path,
    address: str | None,
    *,
    steps: Sequence[Step] = get_args(Step),
    resumed: bool = False,
    taken: TakenOver = NOTHING,
) -> Checked:
    """Check detector, base, protocol and data; the arguments are those of `Checked`.

    Raises:
        ValueError: On the first that is impossible.
    """
    check_detector(space.detector.name, space.data.image_size)
    check_inputs(
        space, space.catalog.expand(space.protocol.search)
    )  # before the base: that may need the network
    bases = find_bases(space)
    seen = tuple(dict.fromkeys(name for base in bases.values() for name in base.generators))
    protocol = build_protocol(space, seen)
    _check_workers(space.resources, len(protocol.folds))
    _check_patience(space, protocol, bases)
    to_train = tuple(base.generators[0] for base in bases.values() if base.kind == "generator")
    if to_train:
        check_inputs(space, to_train)
    generators = tuple(dict.fromkeys((*protocol.search, *to_train)))
    if "finalists" in steps:
        check_tests(space, taken.validated)
    cache = cache_folder().absolute()
    return Checked(
        space=space,
        protocol=protocol,
        bases=bases,
        generators=generators,
        run_dir=run_dir,
        cache=cache,
        address=address,
        resumed=resumed,
        taken=taken,
        steps=tuple(steps),
    )


def _check_patience(space: Space, protocol: Protocol, bases: Mapping[str, Base]) -> None:
    if not space.may_be_patient:
        return
    for fold in protocol.folds:
        for base in bases.values():
            hold_out(fold.train, base.generators, space.catalog, 1, space.search.seed)


def _check_workers(section: ResourcesSection, folds: int) -> None:
    workers = section.workers_per_trial
    allowed = f"auto or within 1 to {folds} (detectors per trial; more workers would idle)"
    require(workers == "auto" or workers <= folds, "resources.workers_per_trial", workers, allowed)


def plan_for(checked: Checked, nodes: list[dict[str, float]]) -> ResourcePlan:
    """Decide how the run spreads over the machines.

    Raises:
        ValueError: If not even one trial fits.
    """
    space = checked.space
    return plan_resources(nodes, space.resources, len(checked.protocol.folds), space.search.trials)
