"""PURE: what the fresh trainings show, in sentences that say no more than their intervals do."""

from collections.abc import Sequence

from genimage_core.generators import Catalog
from genimage_core.intervals import Estimate
from genimage_core.selection import Selection
from reports.claims import Claim
from reports.wording import count, generator_title, number, signed

VERDICTS = {"improves": "Improves", "no evidence": "No evidence of a difference", "worse": "Worse"}
PARTS = {
    "test": "images of the search generators that no trial saw",
    "sealed": "sealed generators, which nothing in the search had read",
}


def claim_sentence(claim: Claim, trial: int, planned: int, simulated: bool, catalog: Catalog) -> str:
    """Say whether the winner is better than the baseline on one part of the images.

    Args:
        claim: The numbers.
        trial: Of the search, whose configuration is the candidate.
        planned: Seeds that there were to be.
        simulated: The images are those of the embedded set.
        catalog: What generators are called.
    """
    overall = claim.overall
    names = ", ".join(generator_title(found.generator, catalog) for found in claim.generators)
    sentences = (
        f"{VERDICTS[claim.verdict]} on {PARTS[claim.part]} ({names}; {claim.images:,} images): trained anew "
        f"with {_seeds(claim.seeds, planned)}, trial {trial} has off-family accuracy "
        f"{_between(overall.candidate)}, the baseline {_between(overall.baseline)}; the paired difference is "
        f"{_signed_between(overall.difference)}, 95 % intervals over seeds and images."
    )
    if claim.seeds < 2:
        sentences += " One seed shows no difference beyond its own luck, whatever the numbers."
    return sentences + (" The images are simulated." if simulated else "")


def _seeds(found: int, planned: int) -> str:
    return count(found, "seed") if found == planned else f"{found} of {count(planned, 'planned seed')}"


def scope_sentence(claim: Claim, catalog: Catalog) -> str:
    """Say how far the claim reaches: these generators, or generators in general."""
    left = ", ".join(generator_title(name, catalog) for name in claim.not_counted)
    rest = f" Not counted, as every detector knows their family: {left}." if left else ""
    if claim.families is None:
        return f"The verdict is about these generators, all of one family; nothing is known of others.{rest}"
    return (
        f"The verdict is about these generators. For generators in general, with {claim.families.count} "
        "families drawn as a sample of all, the difference is "
        f"{_signed_between(claim.families.difference)}; so few families leave it wide.{rest}"
    )


def selection_sentence(found: Selection) -> str:
    """Say what the best value of the search owes to having been chosen."""
    return (
        f"The best of {count(found.configurations, 'completed trial')} had {number(found.raw)} on the "
        f"validation images that it was chosen by; corrected for that choice it is "
        f"{_between(found.corrected)}, {_signed_between(found.gain)} against the baseline (BBC-CV, 95 % over "
        "images alone). The luck of one seed each remains in it, so that no improvement follows from it."
    )


def opened_sentence(names: Sequence[str], catalog: Catalog) -> str:
    """Say which generators are called sealed but had been opened; empty if there are none."""
    if not names:
        return ""
    titles = ", ".join(generator_title(name, catalog) for name in names)
    return f"A run that this search learnt from already knew {titles}; no claim rests on what they say."


def base_sentence(kind: str) -> str:
    """Say what no seed draws anew; empty where all is."""
    if kind in ("", "scratch"):
        return ""
    return (
        "All trainings, of every seed, start from the same base weights: how much another base would change "
        "is in no interval."
    )


def _between(found: Estimate) -> str:
    return f"{number(found.value)} ({number(found.low)} to {number(found.high)})"


def _signed_between(found: Estimate) -> str:
    return f"{signed(found.value)} ({signed(found.low)} to {signed(found.high)})"
