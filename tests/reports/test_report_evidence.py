import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from synthetic_finalists import World, write_search

from reports.claim_wording import VERDICTS
from reports.claims import fit_temperatures, make_claim
from reports.evidence import read_evidence, to_json
from reports.finished_run import read_finished, read_search, read_tested, strange_to
from reports.records import read_run

SMALL = World(trials=4, top=2, seeds=3, val_per_class=30, test_per_class=40)
RESAMPLES = 400


def write(folder, world=SMALL, seed=0):
    return write_search(folder, world, np.random.default_rng(seed))


def evidence_of(run):
    return read_evidence(run, read_run(run), RESAMPLES)


def change(run, **values):
    path = run / "finalists.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def edit(path, change_table):
    change_table(pd.read_parquet(path)).to_parquet(path, index=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that tests only read."""
    return write(tmp_path_factory.mktemp("run"))


@pytest.fixture
def own(tmp_path):
    """A run that a test may spoil."""
    return write(tmp_path)


def test_a_run_without_finalists_or_before_their_test_has_no_evidence(own):
    change(own, seal=None)
    assert evidence_of(own) is None
    change(own, seal={"opened": "now"}, runs=[{"name": "baseline", "seed": 0, "state": "completed"}])
    assert evidence_of(own) is None  # nothing to compare the baseline with
    (own / "finalists.json").unlink()
    assert evidence_of(own) is None


def test_the_winner_is_who_was_best_in_the_search_whatever_the_tests_say(run):
    found = evidence_of(run)
    first, second = json.loads((run / "finalists.json").read_text())["configurations"][1:]
    assert first["search_value"] >= second["search_value"]
    assert (found.winner, found.trial) == (first["name"], first["trial"])
    assert {(other.name, other.part) for other in found.others} == {
        (second["name"], "sealed"),
        (second["name"], "test"),
    }


def test_the_objective_of_every_training_is_that_of_the_files(run):
    """The claim's accuracies, once more by pandas from the raw files."""
    found, environment = evidence_of(run), json.loads((run / "environment.json").read_text())
    images = pd.read_parquet(run / "scores" / "images.parquet")
    folds = {fold["name"]: fold["off_family"] for fold in environment["protocol"]["folds"]}
    by_seed = []
    for seed in range(3):
        table = pd.read_parquet(run / "finalists" / "scores" / f"{found.winner}_seed_{seed}.parquet")
        table = table.merge(images, on=["generator", "part", "image"]).query("part == 'test'")
        table["right"] = (table["logit"] > 0) == (table["label"] == 1)
        cells = table.groupby(["fold", "generator", "label"])["right"].mean().unstack().mean(axis=1)
        by_seed.append(np.mean([np.mean([cells[f, g] for g in names]) for f, names in folds.items()]))
    claim = next(v.claim for v in found.verdicts if v.claim.part == "test")
    assert claim.overall.candidate.value == pytest.approx(np.mean(by_seed))
    assert claim.not_counted == ("sd14",)  # the base knows it
    assert [g.generator for g in claim.generators] == ["biggan", "glide", "adm"]
    assert claim.images == 3 * 80 and claim.seeds == 3


def test_sealed_generators_are_the_headline_and_all_folds_count(run):
    found = evidence_of(run)
    assert [v.claim.part for v in found.verdicts] == [
        "sealed",
        "test",
    ] and found.headline.claim.part == "sealed"
    assert [g.generator for g in found.headline.claim.generators] == ["midjourney", "vqdm"]
    mean = np.mean([g.comparison.difference.value for g in found.headline.claim.generators])
    assert found.headline.claim.overall.difference.value == pytest.approx(mean)
    assert found.headline.claim.families.count == 2


def test_a_sealed_generator_of_a_known_family_does_not_count(tmp_path):
    found = evidence_of(write(tmp_path, World(trials=2, seeds=2, top=1, sealed=("sd15", "vqdm"))))
    claim = found.headline.claim
    assert [g.generator for g in claim.generators] == ["vqdm"] and claim.not_counted == ("sd15",)
    assert claim.families is None and "all of one family" in found.headline.scope
    assert "Not counted, as every detector knows their family: SD v1.5." in found.headline.scope


def test_a_seal_that_was_open_before_carries_no_claim(own):
    change(own, opened_before=["midjourney"])
    found = evidence_of(own)
    assert [g.generator for g in found.headline.claim.generators] == ["vqdm"]
    assert found.notes == (
        "A run that this search learnt from already knew Midjourney; no claim rests on what they say.",
    )
    change(own, opened_before=["midjourney", "vqdm"])
    assert [v.claim.part for v in evidence_of(own).verdicts] == ["test"]


def test_a_name_that_no_catalogue_has_is_no_one_s_family(run):
    catalog = read_run(run).environment.catalog
    assert strange_to(("sd14", "foreign"), ("sd15", "vqdm"), catalog) == ("vqdm",)


def test_only_seeds_that_both_completed_are_compared(own):
    runs = json.loads((own / "finalists.json").read_text())["runs"]
    winner = evidence_of(own).winner
    for training in runs:
        if (training["name"], training["seed"]) == (winner, 1):
            training["state"] = "failed"
    change(own, runs=runs)
    (own / "finalists" / "scores" / f"{winner}_seed_1.parquet").unlink()
    found = evidence_of(own)
    assert found.headline.claim.seeds == 2 and found.seeds == 3
    assert len(found.headline.claim.overall.by_seed) == 2
    assert [other.seeds for other in found.others] == [3, 3]


def test_a_finalist_that_never_completed_is_named_without_a_number(own):
    runs = json.loads((own / "finalists.json").read_text())
    second = runs["configurations"][2]["name"]
    change(own, runs=[training for training in runs["runs"] if training["name"] != second])
    assert [(other.seeds, other.difference) for other in evidence_of(own).others] == [(0, None)] * 2


@pytest.mark.parametrize(("gain", "said"), [(0.2, "improves"), (-0.2, "worse")])
def test_a_large_true_difference_is_said(tmp_path, gain, said):
    found = evidence_of(write(tmp_path, World(trials=3, top=1, gain=gain)))
    for verdict in found.verdicts:
        assert verdict.claim.verdict == said
        assert verdict.sentence.startswith(f"{VERDICTS[said]} on ")
        assert verdict.claim.overall.difference.value == pytest.approx(gain, abs=0.08)
    assert all(g.mcnemar.adjusted < 0.05 for g in found.headline.claim.generators)
    improvement = found.headline.claim.improvement
    assert (improvement.low > 0.5) if gain > 0 else (improvement.high < 0.5)


def test_one_seed_is_no_evidence_whatever_it_shows(tmp_path):
    found = evidence_of(write(tmp_path, World(trials=2, top=1, seeds=1, gain=0.25)))
    assert found.headline.claim.overall.difference.low > 0
    assert found.headline.claim.verdict == "no evidence"
    assert found.headline.sentence.startswith("No evidence of a difference")
    assert "One seed shows no difference beyond its own luck" in found.headline.sentence
    assert found.headline.claim.candidate_calibration.error.high == 1


def test_every_sentence_about_simulated_images_says_so(own):
    assert all(v.sentence.endswith("The images are simulated.") for v in evidence_of(own).verdicts)
    change(own, simulated=False)
    assert not any("simulated" in v.sentence for v in evidence_of(own).verdicts)


def test_the_sentence_has_the_numbers_of_the_claim(run):
    verdict = evidence_of(run).headline
    difference = verdict.claim.overall.difference
    for value in (difference.value, difference.low, difference.high):
        assert f"{value:+.3f}".replace("-", "−") in verdict.sentence
    assert "Midjourney, VQDM; 160 images" in verdict.sentence and "with 3 seeds" in verdict.sentence


def test_the_search_s_own_value_is_corrected_and_recorded_as_it_was(run):
    found, summary = evidence_of(run), json.loads((run / "finalists.json").read_text())
    assert found.selection.configurations == 4
    assert found.selection.raw == pytest.approx(summary["configurations"][1]["search_value"])
    assert found.expected_best[-1] == pytest.approx(found.selection.raw)
    assert found.selection_sentence.startswith("The best of 4 completed trials had ")
    finished = read_finished(run, read_run(run))
    right, baseline, images, weights = read_search(finished)
    assert right.shape == (4, 4, 240) and baseline.shape == (4, 240) and len(images.labels) == 240
    assert weights.sum() == pytest.approx(1)


def test_an_objective_that_is_no_accuracy_is_not_corrected(own):
    path = own / "environment.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"objective": "auroc"}))
    found = evidence_of(own)
    assert found.selection is None and found.selection_sentence == "" and found.expected_best == ()
    assert found.headline.claim.overall.by_seed


def test_every_generator_has_its_own_test(run):
    found, finished = evidence_of(run), read_finished(run, read_run(run))
    tested = read_tested(finished, found.winner, "sealed")
    for place, of_generator in enumerate(found.headline.claim.generators):
        inside = tested.images.sources == place
        one, other = (
            (logits.mean((0, 1))[inside] > 0) == (tested.images.labels[inside] == 1)  # all folds judge it
            for logits in (tested.candidate, tested.baseline)
        )
        net = np.bincount(tested.images.clusters[inside], one.astype(float) - other)
        assert of_generator.adjusted >= of_generator.comparison.p_value > 0
        test = of_generator.mcnemar
        assert (test.wins, test.losses) == ((net > 0).sum(), (net < 0).sum())
        assert test.p_value == pytest.approx(binomtest(test.wins, test.wins + test.losses).pvalue)


def test_temperatures_make_the_detectors_less_or_more_sure(run):
    """Logits three times as large are calibrated to the same probabilities."""
    tested = read_tested(read_finished(run, read_run(run)), evidence_of(run).winner, "test")
    louder = replace(tested, candidate=3 * tested.candidate)
    trained = [("sd14",), ("biggan",), ("glide",), ("adm",)]
    claims = []
    for said in (tested, louder):
        temperatures = fit_temperatures(said.candidate, said.images, trained)
        rng = np.random.default_rng(0)
        claims.append(make_claim("test", said, (temperatures, temperatures), rng, 50))
    one, other = (claim.candidate_calibration.error.value for claim in claims)
    assert other == pytest.approx(one, abs=0.002)
    assert claims[1].baseline_calibration.error.value != pytest.approx(one, abs=0.002)


def test_probabilities_are_calibrated_on_what_the_detectors_know(run):
    calibration = evidence_of(run).headline.claim.candidate_calibration
    assert sum(part.count for part in calibration.bins) == 3 * 4 * 160  # seeds, folds, images
    assert 0 <= calibration.error.low <= calibration.error.value <= calibration.error.high <= 1
    assert calibration.error.value > 0.02  # off-family they are too sure of themselves


def test_the_same_records_give_the_same_numbers_in_any_order_of_rows(own):
    before = evidence_of(own)
    for path in own.rglob("*.parquet"):
        if path.name != "images.parquet":
            edit(path, lambda table: table.sample(frac=1, random_state=1))
    assert to_json(evidence_of(own)) == to_json(before)


def test_json_holds_everything_and_no_number_that_is_none(run):
    found = evidence_of(run)
    loaded = json.loads(to_json(found), parse_constant=pytest.fail)
    assert loaded["winner"] == found.winner and loaded["level"] == 0.95
    assert loaded["verdicts"][0]["sentence"] == found.headline.sentence
    assert loaded["verdicts"][0]["claim"]["generators"][0]["mcnemar"]["adjusted"] <= 1


def test_images_of_unknown_cluster_stand_alone(own):
    edit(own / "scores" / "images.parquet", lambda table: table.assign(cluster=None))
    tested = read_tested(read_finished(own, read_run(own)), evidence_of(own).winner, "test")
    assert len(np.unique(tested.images.clusters)) == len(tested.images.labels) == 320


def test_scenes_belong_together_whatever_the_generator(run):
    tested = read_tested(read_finished(run, read_run(run)), evidence_of(run).winner, "test")
    assert len(np.unique(tested.images.clusters)) == 40


IMAGES, TRIAL = "scores/images.parquet", "scores/trial_0002.parquet"
FINALIST = "finalists/scores/baseline_seed_1.parquet"


@pytest.mark.parametrize(
    ("name", "spoil", "said"),
    [
        (IMAGES, lambda t: t.drop(columns="label"), "images.parquet has no column label; it has generator"),
        (IMAGES, lambda t: t.assign(label=2), "column label: must be 0 .* got 2"),
        (IMAGES, lambda t: t.assign(part=None), "column part: 1280 rows|column part: .* rows have no value"),
        (IMAGES, lambda t: pd.concat([t, t[:1]]), "column image: 0 of sd14 .val. is there twice"),
        (IMAGES, lambda t: t[(t.part != "test") | (t.label == 0)], "part test: sd14: intervals need"),
        (IMAGES, lambda t: t[t.generator != "vqdm"], "part sealed: vqdm: intervals need"),
        (TRIAL, lambda t: t.drop(columns="logit"), "trial_0002.parquet has no column logit"),
        (TRIAL, lambda t: t[t.fold != "glide"], "trial_0002.parquet, fold glide: image 0 of sd14 is missing"),
        (FINALIST, lambda t: t.drop(columns="part"), "baseline_seed_1.parquet has no column part"),
        (FINALIST, lambda t: t[1:], "fold sd14: image 0 of sd14 is missing .1 of 1280 rows are"),
        (FINALIST, lambda t: pd.concat([t, t[-1:]]), "fold adm: image 79 of vqdm is there twice"),
        (FINALIST, lambda t: t.assign(logit=np.nan), "no finite value in column logit"),
    ],
)
def test_files_that_are_not_whole_are_named(own, name, spoil, said):
    edit(own / name, spoil)
    with pytest.raises(ValueError, match=said):
        evidence_of(own)


@pytest.mark.parametrize("name", [IMAGES, TRIAL, FINALIST])
def test_files_that_are_missing_or_cut_off_are_named(own, name):
    (own / name).write_bytes((own / name).read_bytes()[:100])
    with pytest.raises(ValueError, match=f"{name} is no Parquet file"):
        evidence_of(own)
    (own / name).unlink()
    with pytest.raises(ValueError, match=rf"{name} is missing; .* --finalists-only"):
        evidence_of(own)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sealed": "vqdm"}, "finalists.json, sealed: .* got 'vqdm'"),
        ({"configurations": []}, "finalists.json.*configurations must be the baseline and then searched"),
        ({"runs": [{"name": "baseline", "state": "completed"}]}, "finalists.json, runs, 0, seed"),
    ],
)
def test_finalists_that_cannot_be_understood_are_refused(own, changes, said):
    change(own, **changes)
    with pytest.raises(ValueError, match=said):
        evidence_of(own)
    (own / "finalists.json").write_text("{")
    with pytest.raises(ValueError, match=r"finalists\.json is not valid JSON"):
        evidence_of(own)


@pytest.mark.parametrize("kind, said", [("generator", True), ("imagenet", True), ("scratch", False)])
def test_what_no_seed_draws_anew_is_said(own, kind, said):
    path = own / "environment.json"
    environment = json.loads(path.read_text())
    environment["base"]["kind"] = kind
    path.write_text(json.dumps(environment))
    assert any("same base weights" in note for note in evidence_of(own).notes) == said
