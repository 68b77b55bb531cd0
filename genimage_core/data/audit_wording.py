"""Puts the numbers of an audit into plain sentences."""

from collections.abc import Sequence

from genimage_core.data.audit_checks import ALIGNMENTS, FEWEST, SINGLE, VISIBLE, Check
from genimage_core.data.audit_facts import GeneratorAudit


def describe(generators: Sequence[GeneratorAudit], alignment: str) -> tuple[str, ...]:
    """Say what tells real from fake on the raw files, what the alignment leaves and what is not known."""
    if not generators:
        return ("The index holds no files.",)
    measured = [g for g in generators if g.checks]
    sentences = []
    if measured:
        sentences += _found(measured, "none")
        if alignment != "none":
            sentences += _found(measured, alignment)
        sentences += _advice(measured, alignment)
    return (*sentences, *_unmatched(generators, alignment), *_too_few(generators), *_bad(generators))


def percent(check: Check) -> str:
    """Write an accuracy with its interval, such as `98.2 % [97.0, 99.1]`."""
    return f"{100 * check.accuracy:.1f} % [{100 * check.low:.1f}, {100 * check.high:.1f}]"


def listed(items: Sequence[str], last: str = "and") -> str:
    """Join words: `a, b and c`."""
    return f" {last} ".join([*([", ".join(items[:-1])] if items[:-1] else []), items[-1]])


def _found(measured: Sequence[GeneratorAudit], alignment: str) -> list[str]:
    """One sentence for each group of generators on which the same features tell."""
    features = SINGLE if alignment == "none" else VISIBLE
    groups: dict[tuple[str, ...], list[list[Check]]] = {}
    for name in (*features, "all"):
        hits = {g.name: c for g in measured for c in _telling(g, alignment) if c.features == name}
        if name == "all":  # told only where nothing tells alone
            hits = {g.name: hits[g.name] for g in measured if [*_telling(g, alignment)] == [hits.get(g.name)]}
        if hits:
            groups.setdefault(tuple(hits), []).append([*hits.values()])
    where = "On the files as they lie" if alignment == "none" else f"After format_alignment: {alignment}"
    if not groups:
        return [f"{where}, {_nothing(measured, alignment, features)}."]
    return [f"{where}, {_telling_words(checks)} on {listed(names)}." for names, checks in groups.items()]


def _telling(generator: GeneratorAudit, alignment: str) -> list[Check]:
    return [c for c in generator.after(alignment) if c.above_chance]


def _telling_words(features: Sequence[Sequence[Check]]) -> str:
    parts = []
    for checks in features:
        least = min(checks, key=lambda c: c.accuracy)
        name = listed(SINGLE) + " together" if least.features == "all" else f"{least.features} alone"
        parts.append(f"{name} ({percent(least)}{' at least' if len(checks) > 1 else ''})")
    plural = len(features) > 1 or features[0][0].features == "all"
    return f"{listed(parts)} {'tell' if plural else 'tells'} real from fake"


def _nothing(measured: Sequence[GeneratorAudit], alignment: str, features: Sequence[str]) -> str:
    most = max((c for g in measured for c in g.after(alignment)), key=lambda c: c.accuracy)
    none = f"neither {features[0]} nor {features[1]}" if len(features) == 2 else f"none of {listed(features)}"
    return f"{none} tells real from fake ({percent(most)} at most)"


def _advice(measured: Sequence[GeneratorAudit], alignment: str) -> list[str]:
    left = {c.features for g in measured for c in _telling(g, alignment)}
    raw = {c.features for g in measured for c in _telling(g, "none")}
    sentences = []
    if left & set(VISIBLE):
        cures = [a for a in ALIGNMENTS if a not in ("none", alignment) and _cures(measured, a)]
        sentences.append(f"Train with format_alignment: {listed(cures, 'or')}.")
    if raw & {"size", "bytes"}:
        sentences.append("Crops at native scale hide size and bytes; resizing leaves traces of the size.")
    return sentences


def _cures(measured: Sequence[GeneratorAudit], alignment: str) -> bool:
    possible = alignment != "match_quality" or all(g.matchable for g in measured)
    return possible and not any(_telling(g, alignment) for g in measured)


def _unmatched(generators: Sequence[GeneratorAudit], alignment: str) -> list[str]:
    names = [g.name for g in generators if not g.matchable]
    if alignment != "match_quality" or not names:
        return []
    return [
        f"No real file of {listed(names, 'or')} has a known JPEG quality: match_quality has nothing to draw "
        "from there, and the files are judged as they lie."
    ]


def _too_few(generators: Sequence[GeneratorAudit]) -> list[str]:
    few = [f"{g.name} ({g.nature.readable} nature, {g.ai.readable} ai)" for g in generators if not g.checks]
    if not few:
        return []
    return [f"Too few readable files to tell on {listed(few)}: {FEWEST} different ones per class are needed."]


def _bad(generators: Sequence[GeneratorAudit]) -> list[str]:
    classes = [
        (g.name, name, facts) for g in generators for name, facts in (("nature", g.nature), ("ai", g.ai))
    ]
    bad = [f"{g} {name}: {facts.files - facts.readable:,}" for g, name, facts in classes if facts.bad]
    total = sum(facts.files for *_, facts in classes)
    readable = sum(facts.readable for *_, facts in classes)
    if not bad:
        return []
    return [f"{total - readable:,} of {total:,} files cannot be read and are left out ({'; '.join(bad)})."]
