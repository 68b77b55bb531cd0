"""`report.json` is what its schema says, whatever became of the run."""

import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import get_args, get_type_hints

import jsonschema
import numpy as np
import pytest
from synthetic_finalists import World, write_search
from synthetic_run import cut_off_trials, ten_trials, trial, write_run

import reports
from reports.evidence import Evidence
from reports.render import SCHEMA, SCHEMA_NAME, write_report
from reports.robustness import Degraded
from reports.tables import Report

PATH = Path(reports.__file__).parent / "report.schema.json"
WORLD = World(trials=4, top=2, seeds=2, val_per_class=30, test_per_class=40)
KEYWORDS = {"type", "const", "enum", "$ref", "anyOf"}


@pytest.fixture(scope="module")
def schema():
    return json.loads(PATH.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def validator(schema):
    return jsonschema.Draft202012Validator(schema)


def written(run):
    return json.loads((write_report(run).parent / "report.json").read_text(encoding="utf-8"))


def with_finalists(folder):
    return write_search(folder, WORLD, np.random.default_rng(0))


def with_failures(folder):
    check = {"level": "clean", "sentences": ["Nothing."]}
    lost = trial(1, 0.7, config={"mask_radius": float("nan"), "mask_kind": "ring", "channels": None})
    lost["epochs"][-1]["matrix"]["sd14"]["adm"]["auroc"] = float("inf")
    failed = [
        trial(2, None, "failed", error="RuntimeError: out of memory", retries=2),
        trial(3, None, "failed"),
    ]
    return write_run(folder, [trial(0, None, "failed"), lost, *failed], shortcuts=check)


def still_running(folder):
    return write_run(folder, cut_off_trials(), timing=None)


def just_begun(folder):
    return write_run(folder, [], timing=None, trials=None)


def without_finalists(folder):
    return write_run(folder, ten_trials(), best=True)


def bare(folder):
    run = write_run(folder, [trial(0, 0.6)])
    (run / "environment.json").write_text('{"name": "bare", "objective": "off_family_accuracy"}')
    return run


RUNS = [with_finalists, with_failures, still_running, just_begun, without_finalists, bare]


@pytest.mark.parametrize("make", RUNS, ids=lambda make: make.__name__)
def test_every_report_is_valid(tmp_path, validator, make):
    report = written(make(tmp_path))
    assert [error.message for error in validator.iter_errors(report)] == []
    assert (report["$schema"], report["schema"]) == (SCHEMA_NAME, SCHEMA)


def test_what_the_runs_are_there_for_is_in_their_reports(tmp_path):
    reports_of = {make: written(make(tmp_path / make.__name__)) for make in RUNS}
    assert (
        reports_of[with_finalists]["evidence"]["verdicts"]
        and reports_of[with_finalists]["evidence"]["others"]
    )
    assert reports_of[without_finalists]["evidence"] is None
    assert reports_of[with_failures]["outcome"]["failed"] == 3 and reports_of[with_failures]["shortcuts"]
    assert reports_of[with_failures]["challenger_matrix"]["cells"]
    assert not reports_of[still_running]["finished"] and reports_of[still_running]["outcome"]["interrupted"]


@pytest.mark.parametrize(
    ("spoil", "path"),
    [
        (lambda report: report.pop("verdict"), []),
        (lambda report: report.update(more=1), []),
        (lambda report: report.update(schema=3), ["schema"]),
        (lambda report: report["trials"][0].update(state="running"), ["trials", 0, "state"]),
        (lambda report: report["trials"][0].pop("error"), ["trials", 0]),
        (lambda report: report["baseline"].update(in_domain=1.5), ["baseline"]),
        (lambda report: report["outcome"]["ended"][0].append(1), ["outcome", "ended", 0]),
        (lambda report: report["evidence"]["verdicts"][0]["claim"].update(verdict="better"), ["evidence"]),
        (lambda report: report["importance"]["shares"].append(["x"]), ["importance", "shares"]),
    ],
)
def test_what_is_wrong_is_refused(tmp_path, validator, spoil, path):
    report = written(with_finalists(tmp_path))
    spoil(report)
    errors = list(validator.iter_errors(report))
    assert errors and list(errors[0].absolute_path)[: len(path)] == path


def test_the_schema_is_one_and_names_itself(schema):
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"] == SCHEMA_NAME == schema["properties"]["$schema"]["const"]
    assert SCHEMA_NAME.endswith(f":{SCHEMA}") and schema["properties"]["schema"]["const"] == SCHEMA


def objects(schema):
    return [schema, *schema["$defs"].values()]


def test_every_field_is_described_required_and_typed(schema):
    for found in objects(schema):
        assert found["type"] == "object" and found["additionalProperties"] is False and found["description"]
        assert found["required"] == list(found["properties"])
        for name, field in found["properties"].items():
            assert field.get("description", "").endswith("."), f"{name} is not described"
            assert KEYWORDS & set(field), f"{name} may be anything"


def test_every_definition_is_used(schema):
    text = json.dumps(schema)
    assert [name for name in schema["$defs"] if f'"#/$defs/{name}"' not in text] == []


def parts_of(hint):
    """Dataclasses within a type."""
    if is_dataclass(hint):
        return [hint]
    return [found for inner in get_args(hint) for found in parts_of(inner)]


def test_objects_have_the_fields_of_the_dataclasses(schema):
    """Whatever comes to the report must come to the schema."""
    known, left, seen = (
        {frozenset(o["properties"]) for o in objects(schema)},
        [Report, Evidence, Degraded],
        set(),
    )
    while left:
        kind = left.pop()
        if kind in seen:
            continue
        seen.add(kind)
        names = {field.name for field in fields(kind)}
        extra = {"$schema", "schema", "evidence", "robustness"} if kind is Report else set()
        assert names | extra in known, f"{kind.__name__} is not in the schema as it is"
        left += [part for hint in get_type_hints(kind).values() for part in parts_of(hint)]
    assert len(seen) > 15
