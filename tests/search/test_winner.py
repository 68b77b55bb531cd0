import pytest

from search.records import METRICS, Records
from search.searcher import suggest_parameters
from search.space import Space, load_space, settle
from search.winner import drop_useless, fix, keep_winner

SPACE = Space(
    name="tiny",
    data={"root": "/somewhere"},
    protocol={"search": ["sd14", "adm"]},
    detector={"base": "generator:sd14"},
    search={"trials": 8},
    space={
        "mask_kind": "ring",
        "mask_radius": {"low": 0.1, "high": 0.5},
        "freeze_depth": {"low": 0, "high": 4, "type": "int"},
    },
)
CONFIG = {"mask_radius": 0.123456789, "freeze_depth": 2}


@pytest.fixture
def records(tmp_path):
    return Records(tmp_path, "off_family_accuracy", 1)


def play(records, number, value, **params):
    role = "searched" if number else "baseline"
    records.begin(number, role, params)
    seconds = dict.fromkeys(("train_s", "eval_s", "wait_s", "busy_s", "started"), 1.0)
    rest = {"epoch": 1, "train_loss": 0.5, "losses": {"sd14": 0.5}, "matrix": {}}
    records.add(number, {**dict.fromkeys(METRICS, value), **seconds, **rest})
    records.finish(number)
    folder = records.run_dir / "checkpoints" / f"trial_{number:04d}" / "epoch_1"
    folder.mkdir(parents=True)
    (folder / "sd14.safetensors").write_text(f"weights {number}")
    (folder / "sd14.optimizer.pt").touch()


def test_the_winner_s_space_file_trains_the_winner(records):
    play(records, 0, 0.6)
    play(records, 1, 0.8, **CONFIG)
    play(records, 2, 0.7, mask_radius=0.4, freeze_depth=0)
    keep_winner(SPACE, records)
    again = load_space(records.run_dir / "best.yaml")
    assert again.parameters == {} and again.name == "tiny-best"
    assert (again.search.trials, again.search.scheduler) == (2, "none")
    assert again.finalists.top == 0, "the seal is not opened again by the way"
    assert settle(again, {}) == settle(SPACE, CONFIG)
    assert (again.data, again.protocol, again.detector) == (SPACE.data, SPACE.protocol, SPACE.detector)
    assert suggest_parameters(again, None) == {}


def test_only_the_winner_s_weights_are_kept(records):
    play(records, 0, 0.6)
    play(records, 1, 0.8, **CONFIG)
    keep_winner(SPACE, records)
    assert {path.name for path in (records.run_dir / "best").iterdir()} == {"sd14.safetensors", "trial.json"}
    assert (records.run_dir / "best" / "sd14.safetensors").read_text() == "weights 1"
    assert not (records.run_dir / "checkpoints").exists()


def test_a_baseline_that_won_is_the_only_trial(records):
    play(records, 0, 0.9)
    play(records, 1, 0.8, **CONFIG)
    fixed = fix(SPACE, records.best)
    assert fixed.search.trials == 1 and fixed.space == {}
    assert settle(fixed, {}) == settle(SPACE, {}, baseline=True)


def test_without_a_winner_nothing_is_promised(records):
    assert keep_winner(SPACE, records) == ()
    assert list(records.run_dir.iterdir()) == []


def test_detectors_that_were_not_saved_are_named(records):
    play(records, 0, 0.5)
    records.best.epochs[-1]["losses"]["adm"] = 0.5
    assert keep_winner(SPACE, records) == ("adm",)
    assert (records.run_dir / "best" / "sd14.safetensors").exists()


def test_of_a_search_that_goes_on_the_best_so_far_and_what_was_cut_off_keep_their_checkpoints(records):
    play(records, 0, 0.6)
    play(records, 1, 0.8, **CONFIG)
    records.begin(2, "searched", CONFIG)
    (records.run_dir / "checkpoints" / "trial_0002").mkdir()
    drop_useless(records, but=records.best)
    kept = sorted(path.name for path in (records.run_dir / "checkpoints").iterdir())
    assert kept == ["trial_0001", "trial_0002"]


def test_a_search_that_is_extended_keeps_its_winner_or_exchanges_it(records):
    play(records, 0, 0.6)
    play(records, 1, 0.8, **CONFIG)
    keep_winner(SPACE, records)
    play(records, 2, 0.7, **CONFIG)
    assert keep_winner(SPACE, records) == ()
    weights = records.run_dir / "best" / "sd14.safetensors"
    assert weights.read_text() == "weights 1"
    play(records, 3, 0.9, **CONFIG)
    keep_winner(SPACE, records)
    assert weights.read_text() == "weights 3" and not (records.run_dir / "checkpoints").exists()
