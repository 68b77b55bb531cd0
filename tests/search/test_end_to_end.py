"""The whole way on a tiny embedded data set: Ray Tune, Ray Train, Optuna, records, TensorBoard, report."""

import csv
import json

import pytest
import yaml
from run_process import read_records, study_of
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from genimage_core.detectors.detector import load_detector
from genimage_core.detectors.info import read_info


def test_every_trial_is_recorded_alike_everywhere(finished):
    run_dir, _ = finished
    records = read_records(run_dir)
    assert [(r["number"], r["role"], r["state"]) for r in records] == [
        (0, "baseline", "completed"),
        (1, "searched", "completed"),
    ]
    rows = list(csv.DictReader((run_dir / "trials.csv").open()))
    trials = study_of(run_dir).trials
    for record, row, trial in zip(records, rows, trials, strict=True):
        assert [epoch["epoch"] for epoch in record["epochs"]] == [1, 2, 3, 4, 5, 6]
        value = record["epochs"][-1]["off_family_accuracy"]
        assert float(row["off_family_accuracy"]) == value == trial.value
        assert trial.state.name == "COMPLETE"
        assert trial.params == record["config"]
        assert list(trial.intermediate_values.values()) == [
            epoch["off_family_accuracy"] for epoch in record["epochs"]
        ]
    assert records[0]["config"] == {}
    assert 0.1 <= records[1]["config"]["mask_radius"] <= 0.3


def test_the_matrix_covers_the_search_generators_and_only_those(finished):
    run_dir, _ = finished
    for record in read_records(run_dir):
        matrix = record["epochs"][-1]["matrix"]
        assert set(matrix) == {"sd14", "biggan"}
        assert all(set(row) == {"sd14", "biggan"} for row in matrix.values())
        # The base knows sd14, so only sd14's detector has a left-out generator.
        assert record["epochs"][-1]["off_family_accuracy"] == matrix["sd14"]["biggan"]["accuracy"]
        assert matrix["sd14"]["biggan"]["images"] == 16


def test_tensorboard_holds_curves_pictures_and_hyperparameters(finished):
    run_dir, _ = finished
    for name in ("trial_0000", "trial_0001"):
        events = EventAccumulator(str(run_dir / "tensorboard" / name), size_guidance={"tensors": 0})
        events.Reload()
        tags = events.Tags()
        assert [s.step for s in events.Scalars("metric/off_family_accuracy")] == [1, 2, 3, 4, 5, 6]
        assert "accuracy/sd14/biggan" in tags["scalars"]
        assert any(tag.startswith("augmented/") for tag in tags["images"])
        assert "_hparams_/session_start_info" in events.summary_metadata


def test_the_run_directory_is_complete(finished):
    run_dir, run = finished
    for name in ("space.yaml", "environment.json", "timing.json", "best.yaml"):
        assert (run_dir / name).stat().st_size > 0
    timing = json.loads((run_dir / "timing.json").read_text())
    assert 0 < timing["goodput"] <= 1
    assert timing["startup_s"] < timing["first_result_s"] <= timing["wall_s"]
    environment = json.loads((run_dir / "environment.json").read_text())
    assert environment["simulated"] is True
    assert environment["protocol"]["sealed"] == ["midjourney", "vqdm"]
    page = (run_dir / "report" / "index.html").read_text()
    assert "imulated" in page and "<svg" in page
    assert not (run_dir / "checkpoints").exists()
    assert "Traceback" not in run.text


def test_the_winner_can_be_used(finished):
    run_dir, _ = finished
    info = read_info(run_dir / "best" / "biggan.safetensors")
    assert (info.detector, info.generators, info.simulated) == ("swin_nano", ("sd14", "biggan"), True)
    load_detector(run_dir / "best" / "biggan.safetensors")


@pytest.mark.slow
def test_the_winner_can_be_retrained(finished, start):
    run_dir, _ = finished
    best = yaml.safe_load((run_dir / "best.yaml").read_text())
    run, repeated = start(best)
    assert run.finish() == 0, run.text
    first, again = read_records(run_dir), read_records(repeated)
    winner = max(first, key=lambda r: (r["epochs"][-1]["off_family_accuracy"], -r["number"]))
    assert again[-1]["epochs"][-1]["matrix"] == winner["epochs"][-1]["matrix"]


OTHER_WAYS = {
    "scratch": {
        "protocol": {"train_on": "all_but_family", "search": ["sd14", "sd15", "biggan", "adm"]},
        "detector": {"name": "swin_nano", "base": "scratch"},
        "space": {"noise_scale": {"low": 0.1, "high": 0.3}},
        "search": {"trials": 3, "grace_period": 1, "reduction_factor": 2},
    },
    "checkpoint": {
        "protocol": {"train_on": "all_but_one", "search": ["sd14", "biggan", "adm", "glide"]},
        "search": {"trials": 3, "grace_period": 1, "reduction_factor": 2},
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("way", OTHER_WAYS)
def test_other_bases_and_folds(finished, space, start, way):
    checkpoint = finished[0] / "best" / "sd14.safetensors"
    changed = {**space, **OTHER_WAYS[way]}
    if way == "checkpoint":
        changed["detector"] = {"name": "swin_nano", "base": f"checkpoint:{checkpoint}"}
    run, run_dir = start(changed)
    assert run.finish() == 0, run.text
    records = read_records(run_dir)
    assert [record["role"] for record in records] == ["baseline", "searched", "searched"]
    assert {record["state"] for record in records} <= {"completed", "stopped"}
    assert records[0]["state"] == "completed"
    environment = json.loads((run_dir / "environment.json").read_text())
    folds = {fold["name"]: set(fold["train"]) for fold in environment["protocol"]["folds"]}
    searched = set(changed["protocol"]["search"])
    if way == "scratch":
        assert {frozenset(searched - trained) for trained in folds.values()} == {
            frozenset({"sd14", "sd15"}),
            frozenset({"biggan"}),
            frozenset({"adm"}),
        }
    else:
        assert all(len(searched - trained) == 1 for trained in folds.values()) and len(folds) == 4
    assert set(records[0]["epochs"][-1]["matrix"]) == set(folds)
    known = {"sd14"} if way == "checkpoint" else set()
    for name in folds:
        if (run_dir / "best" / f"{name}.safetensors").exists():
            info = read_info(run_dir / "best" / f"{name}.safetensors")
            assert set(info.generators) == folds[name] | known and info.simulated
