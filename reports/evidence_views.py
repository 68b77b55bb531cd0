"""PURE: the tables of what the finalists show, the same for HTML and Markdown."""

from collections.abc import Sequence

from genimage_core.generators import Catalog
from genimage_core.intervals import Estimate
from reports.claims import Claim, GeneratorEvidence
from reports.evidence import Evidence
from reports.robustness import Degraded
from reports.views import Table
from reports.wording import NOTHING, generator_title, interval, number, signed_interval

PART_TITLES = {"sealed": "Sealed generators", "test": "Unseen images of the search generators"}


def claim(found: Claim, catalog: Catalog) -> Table:
    """The paired comparison: all generators that count together, then one by one."""
    overall = found.overall
    first = (
        "all together",
        *_comparison(overall.candidate, overall.baseline, overall.difference),
        NOTHING,
    )
    return Table(
        (
            "Generator",
            "Winner",
            "Baseline",
            "Difference",
            "p, corrected",
        ),
        (first, *(_generator(of, catalog) for of in found.generators)),
        frozenset(range(1, 5)),
        ("best", *("" for _ in found.generators)),
    )


def _generator(found: GeneratorEvidence, catalog: Catalog) -> tuple[str, ...]:
    of = found.comparison
    return (
        generator_title(found.generator, catalog),
        *_comparison(of.candidate, of.baseline, of.difference),
        p_value(found.adjusted) if found.adjusted is not None else NOTHING,
    )


def mcnemar(found: Claim, catalog: Catalog) -> Table:
    """McNemar's test of the detectors that there are, generator by generator."""
    rows = [
        (
            generator_title(of.generator, catalog),
            str(of.mcnemar.wins),
            str(of.mcnemar.losses),
            p_value(of.mcnemar.p_value),
            p_value(of.mcnemar.adjusted),
        )
        for of in found.generators
    ]
    columns = ("Generator", "Only the winner right", "Only the baseline right", "p", "p, corrected")
    return Table(columns, tuple(rows), frozenset(range(1, 5)))


def _comparison(candidate: Estimate, baseline: Estimate, difference: Estimate) -> tuple[str, str, str]:
    return interval(candidate), interval(baseline), signed_interval(difference)


def p_value(value: float) -> str:
    """Write a p-value; a very small one only as small."""
    return "< 0.001" if value < 0.001 else number(value)


def calibration(found: Claim) -> Table:
    """Expected calibration error on generators of families that the detectors do not know."""
    rows = [
        ("Winner", interval(found.candidate_calibration.error)),
        ("Baseline", interval(found.baseline_calibration.error)),
    ]
    return Table(("", "Expected calibration error"), tuple(rows), frozenset({1}))


def reliability(found: Claim) -> Table:
    """How often an image was fake where a detector gave it a probability."""
    rows = [
        (name, f"{b.low:.2f} to {b.high:.2f}", f"{b.count:,}", number(b.predicted), number(b.observed))
        for name, of in (("winner", found.candidate_calibration), ("baseline", found.baseline_calibration))
        for b in of.bins
    ]
    columns = ("Of", "Probability", "Images × detectors", "Mean probability", "Share fake")
    return Table(columns, tuple(rows), frozenset(range(2, 5)))


def others(evidence: Evidence) -> Table:
    """Finalists of which nothing is claimed."""
    rows = [
        (
            str(other.trial),
            PART_TITLES[other.part],
            str(other.seeds),
            signed_interval(other.difference) if other.difference else NOTHING,
        )
        for other in evidence.others
    ]
    return Table(("Trial", "On", "Seeds", "Difference to the baseline"), tuple(rows), frozenset({2, 3}))


def expected_best(values: Sequence[float]) -> Table:
    """What the best of so many completed trials is expected to reach."""
    rows = tuple((str(n), number(value)) for n, value in enumerate(values, start=1))
    return Table(("Completed trials", "Expected best"), rows, frozenset({0, 1}))


def robustness(found: Sequence[Degraded]) -> Table:
    """Accuracy on degraded images of the own generators."""
    rows = tuple((d.name, *_comparison(d.winner, d.baseline, d.difference)) for d in found)
    return Table(("Test images", "Winner", "Baseline", "Difference"), rows, frozenset({1, 2, 3}))
