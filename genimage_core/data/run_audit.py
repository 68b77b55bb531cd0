"""The shortcut audit of the images that a run reads; made once and kept in the cache."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd

from genimage_core.data.audit import Audit, audit
from genimage_core.data.audit_checks import VISIBLE
from genimage_core.data.audit_facts import GeneratorAudit
from genimage_core.data.file_facts import read_facts
from genimage_core.data.index_parts import write_atomically
from genimage_core.data.recipe import Recipe, SourceFile, digest

SAMPLE = 1000  # files of each generator, split and class: enough to see any shortcut worth the name
VERSION = 2  # raise it when the same files would give another audit


def audit_run(recipes: Sequence[Recipe], seed: int, cache: Path) -> Audit:
    """Audit what the sets of a run are decoded from, under the alignment that they have in common.

    Args:
        recipes: One for each generator and split.
        seed: Of samples and folds of the audit.
        cache: Cache folder; the audit of the same files is read from there.
    """
    content = [VERSION, SAMPLE, seed, sorted(recipe.fingerprint for recipe in recipes)]
    path = cache / "audits" / f"{digest(content)}.json"
    if path.exists():
        return Audit.from_dict(json.loads(path.read_text(encoding="utf-8")))
    result = audit(tabulate(recipes), alignment=recipes[0].alignment, seed=seed)
    result = _seen(result, resized=recipes[0].crop == "resize")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(result.to_dict()).encode())
    return result


def _seen(result: Audit, *, resized: bool) -> Audit:
    """Judge by what a detector can see: format and quality; a size only where resizing leaves its traces."""
    told = [g.name for g in result.generators if _tells(g, result.alignment, VISIBLE)]
    sizes = [g.name for g in result.generators if resized and _tells(g, "none", ("size",))]
    few = any(not generator.checks for generator in result.generators)
    said = (
        f"With crop: resize, size shows in the pixels of {', '.join(sizes)}: choose crop: centre or random."
    )
    return replace(
        result,
        level="shortcut" if told or sizes else "too few" if few else "clean",
        sentences=(*result.sentences, said) if sizes else result.sentences,
    )


def _tells(generator: GeneratorAudit, alignment: str, features: Sequence[str]) -> bool:
    return any(check.above_chance for check in generator.after(alignment) if check.features in features)


def tabulate(recipes: Sequence[Recipe]) -> pd.DataFrame:
    """Return an index table of a sample of the files of each set."""
    chosen = [(recipe, file) for recipe in recipes for label in (0, 1) for file in _sample(recipe, label)]
    with ThreadPoolExecutor() as pool:
        facts = list(pool.map(lambda pair: read_facts(pair[1].path), chosen))
    rows = [
        {"path": file.name, "generator": recipe.generator, "split": recipe.split, "label": file.label}
        | asdict(fact)
        for (recipe, file), fact in zip(chosen, facts, strict=True)
    ]
    whole = {"width": "Int32", "height": "Int32", "quality": "Int16"}
    return pd.DataFrame(rows).astype(whole)


def _sample(recipe: Recipe, label: int) -> list[SourceFile]:
    files = [file for file in recipe.files if file.label == label]
    places = np.linspace(0, len(files) - 1, min(SAMPLE, len(files))).round().astype(int)
    return [files[place] for place in places]
