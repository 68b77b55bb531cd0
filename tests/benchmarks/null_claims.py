"""How often an improvement is claimed where there is none, and how often it is found where there is one.

python -m tests.benchmarks.null_claims [--searches 1000] [--power-searches 100] [--workers 2] [--out FILE]

Draws whole searches from a model (tests/reports/synthetic_finalists.py), writes their files and asks
`reports.evidence` for its verdicts, as a report does. In a null search every configuration is as good as the
baseline and differs by the luck of its seed alone. Beside the verdicts stands what is claimed without care:
the best trial against the baseline by an interval over validation images; and the winner's fresh seeds
by a plain hierarchical bootstrap, which draws seeds with replacement. Prints JSON. All is simulated.
"""

import argparse
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binomtest

from genimage_core.comparison import compare, judge
from genimage_core.resampling import average_cells, sum_folds
from reports.claims import Claim, Tested, told_right
from reports.evidence import read_evidence
from reports.finished_run import read_finished, read_search, read_tested
from reports.records import read_run
from tests.benchmarks.machine import describe_machine
from tests.benchmarks.results import publish
from tests.reports.synthetic_finalists import World, write_search

Asked = tuple[dict[str, str], dict[str, str], dict[str, float]]
ALPHA = 0.05
GAINS = (0.02, 0.05, 0.10)
RESAMPLES = 1000
CLAIMS = ("sealed", "test", "best_of_trials_on_validation", "plain_bootstrap_test")
SOME_GENERATOR = ("sealed", "test", "mcnemar_sealed", "mcnemar_test")  # differs, p corrected by Holm


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--searches", type=int, default=1000)
    parser.add_argument("--power-searches", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    described = describe(arguments)
    world = World(top=1)  # of other finalists nothing is claimed
    with ProcessPoolExecutor(arguments.workers) as pool:
        results = {
            "null": measure(pool, world, arguments.searches, seed=0),
            "power": {
                f"{gain:.2f}": measure(pool, replace(world, gain=gain), arguments.power_searches, 1 + place)
                for place, gain in enumerate(GAINS)
            },
        }
    publish({"benchmark": "null_claims", **described, "world": asdict(world), **results}, arguments.out)


def measure(pool: ProcessPoolExecutor, world: World, searches: int, seed: int) -> dict[str, Any]:
    """Draw searches and count what is claimed of them."""
    found = list(pool.map(one_search, repeat(world), repeat(seed), range(searches), chunksize=4))
    said = {name: [claims[name] for claims, *_ in found] for name in CLAIMS}
    differ = {name: [some[name] for _, some, _ in found] for name in SOME_GENERATOR}
    return {
        "searches": searches,
        "true_difference": world.gain,
        "improves": {name: rate(verdicts, "improves") for name, verdicts in said.items()},
        "worse": {name: rate(verdicts, "worse") for name, verdicts in said.items()},
        "some_generator_differs": {name: rate(verdicts, "differs") for name, verdicts in differ.items()},
        "mean": {
            name: round(float(np.mean([values[name] for *_, values in found])), 4) for name in found[0][2]
        },
    }


def one_search(world: World, seed: int, number: int) -> Asked:
    """Write a search, ask what it shows, and forget it."""
    with tempfile.TemporaryDirectory(prefix="null-claims-") as folder:
        run = write_search(Path(folder), world, np.random.default_rng([seed, number]))
        return ask(run, np.random.default_rng([seed, number, 1]))


def ask(run: Path, rng: np.random.Generator) -> Asked:
    """What is claimed of a run, and the winner's accuracy as the search, BBC-CV and fresh seeds have it."""
    records = read_run(run)
    evidence, finished = read_evidence(run, records, RESAMPLES), read_finished(run, records)
    assert evidence is not None and finished is not None and evidence.selection is not None
    claims: dict[str, str] = {v.claim.part: v.claim.verdict for v in evidence.verdicts}
    claims["best_of_trials_on_validation"] = claim_on_validation(finished, rng)
    claims["plain_bootstrap_test"] = claim_plainly(read_tested(finished, evidence.winner, "test"), rng)
    overall = evidence.verdicts[1].claim.overall
    values = {
        "raw": evidence.selection.raw,
        "corrected": evidence.selection.corrected.value,
        "fresh": overall.candidate.value,
        "seed_spread": float(np.std(overall.by_seed, ddof=1)),
    }
    return claims, {k: v for verdict in evidence.verdicts for k, v in ask_one_by_one(verdict.claim)}, values


def ask_one_by_one(claim: Claim) -> list[tuple[str, str]]:
    """Whether some generator is said to differ: over seeds and images, and by McNemar's test of detectors."""
    by_interval = any(of.adjusted is not None and of.adjusted < ALPHA for of in claim.generators)
    by_mcnemar = any(of.mcnemar.adjusted < ALPHA for of in claim.generators)
    found = {claim.part: by_interval, f"mcnemar_{claim.part}": by_mcnemar}
    return [(name, "differs" if differs else "no evidence") for name, differs in found.items()]


def claim_on_validation(finished: Any, rng: np.random.Generator) -> str:
    """The best of all trials on the images that it was chosen by, one seed each, interval over images."""
    right, baseline, images, weights = read_search(finished)
    best = sum_folds(right, images, weights).sum(1).argmax()
    [found] = compare(right[best][None], baseline[None], images, weights[None], rng, RESAMPLES)
    return judge(found.difference, seeds=2)  # as if seeds made no difference


def claim_plainly(tested: Tested, rng: np.random.Generator) -> str:
    """Percentiles of a bootstrap that draws seeds and clusters with replacement."""
    images, weights = tested.images, average_cells(tested.counted, tested.images.generators)
    one, other = (told_right(logits, images).astype(float) for logits in (tested.candidate, tested.baseline))
    by_image = sum_folds(one - other, images, weights)
    by_cluster = np.stack([np.bincount(images.clusters, of_seed) for of_seed in by_image])
    seeds, clusters = by_cluster.shape
    times = rng.multinomial(clusters, np.full(clusters, 1 / clusters), RESAMPLES)
    drawn = rng.multinomial(seeds, np.full(seeds, 1 / seeds), RESAMPLES) / seeds
    low, high = np.quantile(((times @ by_cluster.T) * drawn).sum(1), [0.025, 0.975])
    return "improves" if low > 0 else "worse" if high < 0 else "no evidence"


def rate(verdicts: list[str], verdict: str) -> dict[str, float]:
    """Share of a verdict with Wilson's 95 % interval."""
    hits = binomtest(verdicts.count(verdict), len(verdicts))
    interval = hits.proportion_ci(0.95, method="wilson")
    share = verdicts.count(verdict) / len(verdicts)
    return {"rate": round(share, 4), "low": round(interval.low, 4), "high": round(interval.high, 4)}


def describe(arguments: argparse.Namespace) -> dict[str, Any]:
    """What was run, and on what."""
    names = ("searches", "power_searches", "workers")
    options = [f"--{n.replace('_', '-')} {getattr(arguments, n)}" for n in names if getattr(arguments, n)]
    return {
        "command": " ".join(["python -m tests.benchmarks.null_claims", *options]),
        "machine": describe_machine(),
        "simulated": True,
        "nominal": "of 95 % intervals: 2.5 % improves and 2.5 % worse at most; some generator differs: 5 %",
        "mean_is_of": {
            "raw": "off-family accuracy of the best trial on the images that it was chosen by",
            "corrected": "the same by BBC-CV",
            "fresh": "the winner trained anew, on images that no trial saw",
            "seed_spread": "standard deviation of the paired difference between seeds",
        },
    }


if __name__ == "__main__":
    main()
