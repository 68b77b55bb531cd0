"""PURE: the numbers to read first, as tiles at the top of a page."""

from reports.evidence_page import Finals
from reports.tables import Report
from reports.wording import duration, metric_title, number, signed, unfinished

PLACES = {"sealed": "sealed generators", "test": "unseen images"}
Tile = tuple[str, str, str]  # label, value, remark


def list_tiles(report: Report, finals: Finals) -> list[Tile]:
    """Pick the numbers to read first: label, value, remark."""
    outcome, keys = report.outcome, _of_finals(finals) or _of_search(report)
    stops = unfinished(outcome.stopped, outcome.failed, outcome.interrupted)
    keys.append(("Completed trials", str(outcome.completed), stops))
    if report.timing:
        goodput = f"goodput {number(report.timing.get('goodput'))}"
        keys.append(("Wall time", duration(report.timing.get("wall_s")), goodput))
    return keys


def _of_finals(finals: Finals) -> list[Tile]:
    """What fresh trainings say on the images that count most; nothing while there are none."""
    if finals.evidence is None:
        return []
    claim = finals.evidence.headline.claim
    where, difference = PLACES[claim.part], claim.overall.difference
    return [
        ("Winner", number(claim.overall.candidate.value), f"off-family accuracy, {where}"),
        ("Baseline", number(claim.overall.baseline.value), f"off-family accuracy, {where}"),
        (
            "Difference",
            signed(difference.value),
            f"95 %: {signed(difference.low)} to {signed(difference.high)}",
        ),
    ]


def _of_search(report: Report) -> list[Tile]:
    """What the search itself says, where nothing has been trained anew."""
    best, baseline = report.challenger, report.baseline
    metric, keys = metric_title(report.objective), []
    if best:
        keys.append(("Best searched", number(best.objective), f"{metric}, trial {best.trial}"))
    if baseline and baseline.state == "completed":
        keys.append(("Baseline", number(baseline.objective), f"{metric}, trial {baseline.trial}"))
    if best and baseline and best.difference is not None:
        keys.append(("Difference", signed(best.difference), "one seed, optimistic"))
        keys.append(("Worst left-out", *_beside(best.worst_left_out, baseline.worst_left_out)))
        keys.append(("In-domain", *_beside(best.in_domain, baseline.in_domain)))
    return keys


def _beside(value: float | None, baseline: float | None) -> tuple[str, str]:
    return number(value), f"baseline {number(baseline)}"
