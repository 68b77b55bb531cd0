"""The section of a page on what the finalists show: sentences, figures with their tables."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from genimage_core.generators import Catalog
from reports import evidence_figures, evidence_views
from reports.evidence import Evidence, Verdict, read_evidence
from reports.finalist_files import Finalists, read_finalists
from reports.pictures import Picture
from reports.records import Records, Shortcuts
from reports.robustness import Degraded, read_robustness
from reports.views import Table
from reports.wording import capitalised, count, interval, metric_title, signed_interval

SHORT = {"sealed": "Sealed generators", "test": "Search generators"}  # in a figure


@dataclass(frozen=True)
class Finals:
    """What was asked once the search had ended.

    Attributes:
        evidence: Of the finalists; None while they have not been tested.
        robustness: Winner and baseline on degraded images.
        catalog: What generators are called.
        objective: Of the search.
        finalists: What `finalists.json` says; None before they are chosen.
        obstacle: Why nothing can be said of finalists that have been tested; empty if something can.
    """

    evidence: Evidence | None
    robustness: tuple[Degraded, ...]
    catalog: Catalog
    objective: str
    finalists: Finalists | None = None
    obstacle: str = ""

    @property
    def trainings(self) -> str:
        """How far the fresh trainings are, in a sentence; empty before there are any."""
        if self.finalists is None:
            return ""
        planned = len(self.finalists.configurations) * len(self.finalists.seeds)
        states = [run.state for run in self.finalists.runs]
        said = f"Of {count(planned, 'fresh training')} {states.count('completed')} completed"
        said += f", {states.count('failed')} failed" if "failed" in states else ""
        waiting = self.finalists.seal and not self.finalists.tested
        return f"{said}. {'The images have not all been tested yet.' if waiting else ''}".strip()

    @property
    def lost(self) -> Table | None:
        """Fresh trainings that failed, with the line that says why."""
        runs = self.finalists.runs if self.finalists else ()
        rows = tuple(
            (run.name, str(run.seed), run.error or "no error recorded")
            for run in runs
            if run.state == "failed"
        )
        return Table(("Configuration", "Seed", "Error"), rows, frozenset({1})) if rows else None

    @property
    def seal(self) -> str:
        """When the seal was opened, by which command, and with which seeds; empty while it is closed."""
        if self.finalists is None or not self.finalists.seal:
            return ""
        seal, seeds = self.finalists.seal, ", ".join(map(str, self.finalists.seeds))
        command = shlex.join(map(str, seal.get("command", ())))
        return f"Opened at {seal.get('opened', 'an unknown time')} by: {command}. Fresh seeds: {seeds}."

    @property
    def shortcuts(self) -> Shortcuts | None:
        """What the files of the sealed generators tell of their class."""
        return self.finalists.shortcuts if self.finalists else None

    @property
    def verdict(self) -> str:
        """The sentence that counts; empty while there is none."""
        return self.evidence.headline.sentence if self.evidence else ""

    @property
    def sealed(self) -> tuple[Verdict, ...]:
        """Verdicts on sealed generators."""
        return self._of("sealed")

    @property
    def tested(self) -> tuple[Verdict, ...]:
        """Verdicts on unseen images of the search generators."""
        return self._of("test")

    def _of(self, part: str) -> tuple[Verdict, ...]:
        return tuple(v for v in self.evidence.verdicts if v.claim.part == part) if self.evidence else ()

    def claim_table(self, verdict: Verdict) -> Table:
        """The paired comparison behind a verdict."""
        return evidence_views.claim(verdict.claim, self.catalog)

    def mcnemar_table(self, verdict: Verdict) -> Table:
        """McNemar's test behind a verdict."""
        return evidence_views.mcnemar(verdict.claim, self.catalog)

    def calibration_table(self, verdict: Verdict) -> Table:
        """The calibration of winner and baseline."""
        return evidence_views.calibration(verdict.claim)

    def improvement(self, verdict: Verdict) -> str:
        """Probability that one training of the winner beats one of the baseline on a generator."""
        return interval(verdict.claim.improvement)

    @property
    def others_table(self) -> Table | None:
        """The other finalists."""
        return evidence_views.others(self.evidence) if self.evidence and self.evidence.others else None

    @property
    def robustness_table(self) -> Table | None:
        """Degraded images."""
        return evidence_views.robustness(self.robustness) if self.robustness else None


def read_finals(run_dir: Path, records: Records) -> Finals:
    """Read what the finalists of a run show, if it has any.

    Days of training must not end without a report: what cannot be read or computed is said on it instead.
    """
    environment = records.environment
    evidence, finalists, obstacle = None, None, ""
    robustness: tuple[Degraded, ...] = ()
    try:
        finalists = read_finalists(run_dir)
        evidence, robustness = read_evidence(run_dir, records), read_robustness(run_dir)
    except ValueError as error:
        obstacle = f"Of the fresh trainings nothing can be said: {error}"
    return Finals(evidence, robustness, environment.catalog, environment.objective, finalists, obstacle)


def draw_differences(finals: Finals) -> Picture | None:
    """The paired differences with their intervals."""
    if finals.evidence is None:
        return None
    verdicts = finals.evidence.verdicts
    claims = [verdict.claim for verdict in verdicts]
    titles = [SHORT[claim.part] for claim in claims]
    said = "; ".join(
        f"{title}: {signed_interval(claim.overall.difference)}"
        for title, claim in zip(titles, claims, strict=True)
    )
    columns, rows = ("On", "Generator", "Winner less baseline"), []
    for title, verdict in zip(titles, verdicts, strict=True):
        table = finals.claim_table(verdict)
        rows += [(title, row[0], row[3]) for row in table.rows]
    return Picture(
        title="Winner less baseline, trained anew",
        svg=Markup(evidence_figures.forest(claims, titles, finals.catalog, "differences")),
        alt=f"Paired differences in accuracy with 95 % intervals. {said}.",
        caption="Diamond: all generators of a part together; circles: one by one. Lines: 95 % intervals over "
        "seeds and images. To the right of zero the winner is better.",
        table=Table(columns, tuple(rows), frozenset({2})),
    )


def draw_reliability(finals: Finals) -> Picture | None:
    """Calibration where it counts most."""
    if finals.evidence is None:
        return None
    claim = finals.evidence.headline.claim
    errors = (claim.candidate_calibration.error, claim.baseline_calibration.error)
    return Picture(
        title=f"Calibration: {evidence_views.PART_TITLES[claim.part].lower()}",
        svg=Markup(evidence_figures.reliability(claim, "reliability")),
        alt=f"Reliability diagram. Expected calibration error of the winner {interval(errors[0])}, of the "
        f"baseline {interval(errors[1])}.",
        caption="On the dashed line probabilities are right on average. Temperatures were fitted on test "
        "images of the generators that each detector was trained on.",
        table=evidence_views.reliability(claim),
    )


def draw_expected_best(finals: Finals) -> Picture | None:
    """What more trials would have been worth."""
    values = finals.evidence.expected_best if finals.evidence else ()
    if len(values) < 2:
        return None
    return Picture(
        title="Expected best against budget",
        svg=Markup(evidence_figures.expected_best(values, finals.objective, "budget")),
        alt=f"{capitalised(metric_title(finals.objective))} that the best of n completed trials is expected "
        f"to reach, from one to {count(len(values), 'trial')}.",
        caption="Mean over all ways to draw n of the completed trials (Tang et al., 2020), on the validation "
        "images of the search, so optimistic. Trials that were stopped early have no last value and are not "
        "among them: with early stopping, n completed trials cost more than n.",
        table=evidence_views.expected_best(values),
    )
