"""Pages and cards of runs whose finalists have been tested."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from huggingface_hub import ModelCard
from synthetic_finalists import World, write_search
from test_report_page import Page, rendered

from reports.evidence_page import read_finals
from reports.model_card import write_card
from reports.records import read_run
from reports.robustness import read_robustness

WORLD = World(trials=5, top=2, seeds=3, val_per_class=40, test_per_class=60, gain=0.15)
DEGRADATIONS = ("JPEG 30", "blur 3")


def write(folder, world=WORLD):
    return write_search(folder, world, np.random.default_rng(1))


def degrade(run, name, shares):
    """Write what detectors say of degraded images: of each class this share is told right."""
    images = pd.read_parquet(run / "scores" / "images.parquet").query("part == 'test'")
    for seed, by_degradation in enumerate(shares):
        tables = []
        for kind, share in by_degradation.items():
            for fold in ("sd14", "adm"):
                own = images[images.generator == fold]
                right = own.groupby("label").cumcount() < share * (own.label == 1).sum()
                logit = np.where(right, 1.0, -1.0) * (2 * own.label - 1)
                tables.append(own[["generator", "image"]].assign(fold=fold, logit=logit, degradation=kind))
        path = run / "finalists" / "robustness" / f"{name}_seed_{seed}.parquet"
        path.parent.mkdir(exist_ok=True)
        pd.concat(tables).to_parquet(path)


def winner_of(run):
    return json.loads((run / "finalists.json").read_text())["configurations"][1]["name"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = write(tmp_path_factory.mktemp("run"))
    degrade(run, "baseline", [{"JPEG 30": 0.5, "blur 3": 0.6}] * 3)
    degrade(run, winner_of(run), [{"JPEG 30": s, "blur 3": 0.6} for s in (0.7, 0.8, 0.9)])
    return run


@pytest.fixture(scope="module")
def files(run):
    return rendered(run)


def test_the_page_opens_with_what_the_sealed_generators_say(run, files):
    verdict = read_finals(run, read_run(run)).verdict
    assert verdict.startswith("Improves on sealed generators")
    text = " ".join(" ".join(Page(files["index.html"]).text).split())
    assert text.index(verdict) < text.index("The search itself.") < text.index("Best configurations")
    assert verdict in files["report.md"].replace("\\", "")
    for words in (
        "Not counted, as every detector knows their family",
        "corrected for that choice",
        "p, corrected",
        "nothing of other seeds",
        "Opened at",
        "Fresh seeds:",
        "Expected calibration error",
    ):
        assert words in text and words in files["report.md"]
    assert "were not opened" not in text and "was trained once" not in text
    assert "have not all been tested" not in text


def test_every_figure_of_the_finalists_has_words_and_a_table(files):
    page = Page(files["index.html"])
    count = page.tags.count("svg")
    assert count == page.tags.count("figure") == page.tags.count("details") - 2 >= 4  # two of McNemar's test
    described = [
        value for tag, key, value in page.attributes if key == "aria-label" and "Paired diff" in value
    ]
    assert len(described) == 1 and re.search(r"Sealed generators: \+0\.\d+ \(", described[0])


def test_the_tiles_are_those_of_fresh_trainings(run, files):
    tiles = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", files["index.html"].partition("</dl>")[0])
    overall = read_finals(run, read_run(run)).evidence.headline.claim.overall
    assert tiles[:2] == [
        ("Winner", f"{overall.candidate.value:.3f}"),
        ("Baseline", f"{overall.baseline.value:.3f}"),
    ]
    assert tiles[2] == ("Difference", f"{overall.difference.value:+.3f}")


def test_the_numbers_are_in_the_data_too(run, files):
    loaded = json.loads(files["report.json"])
    parts = [verdict["claim"]["part"] for verdict in loaded["evidence"]["verdicts"]]
    assert parts == ["sealed", "test"] and loaded["evidence"]["winner"] == winner_of(run)
    assert [d["name"] for d in loaded["robustness"]] == ["unchanged", *DEGRADATIONS]


def test_robustness_is_the_mean_over_folds_paired_by_seed(run):
    unchanged, jpeg, blur = read_robustness(run)
    assert (jpeg.baseline.value, jpeg.winner.value) == pytest.approx((0.5, 0.8))
    # Student's t with two degrees of freedom: 4.303 times 0.1 over the root of three.
    assert (jpeg.difference.value, jpeg.difference.high) == pytest.approx((0.3, 0.3 + 0.2484), abs=1e-4)
    assert (blur.difference.low, blur.difference.high) == pytest.approx((0.0, 0.0), abs=1e-9)
    assert 0.9 < unchanged.winner.value < 1.0, "images of the own generators, as they are"


def test_a_run_without_finalists_says_how_to_have_them(tmp_path):
    run = write(tmp_path)
    (run / "finalists.json").unlink()
    (run / "best.yaml").write_text("name: best\n")
    text = " ".join(" ".join(Page(rendered(run)["index.html"]).text).split())
    assert "have not been trained anew" in text and "--finalists-only" in text
    assert "were not opened" in text and "was trained once" in text


def test_without_degraded_images_the_rest_is_there(tmp_path):
    run = write(tmp_path)
    assert read_robustness(run) == ()
    assert "measured when finalists are tested" in rendered(run)["index.html"]


def test_a_column_that_is_missing_is_named(run, tmp_path):
    spoilt = shutil.copytree(run, tmp_path / "run")
    path = spoilt / "finalists" / "robustness" / "baseline_seed_0.parquet"
    pd.read_parquet(path).drop(columns="degradation").to_parquet(path)
    with pytest.raises(ValueError, match=r"baseline_seed_0\.parquet has no column degradation"):
        read_robustness(spoilt)


@pytest.fixture
def detectors(tmp_path):
    run = write(tmp_path)
    (run / "best").mkdir()
    for name in ("sd14", "adm"):
        (run / "best" / f"{name}.safetensors").write_bytes(b"weights")
    return run


def test_the_card_is_one_that_hugging_face_reads(detectors):
    path = write_card(detectors)
    assert path == detectors / "best" / "README.md"
    card = ModelCard.load(path)
    verdict = read_finals(detectors, read_run(detectors)).verdict
    assert "simulated-data" in card.data.tags and verdict in card.text.replace("\\", "")
    results = {result.dataset_split: result.metric_value for result in card.data.eval_results}
    assert set(results) == {"sealed", "test"} and all(" to " in value for value in results.values())
    assert "`adm.safetensors`" in card.text and "Limits" in card.text


def test_a_card_without_finalists_calls_its_numbers_optimistic(detectors):
    (detectors / "finalists.json").unlink()
    card = ModelCard.load(write_card(detectors))
    assert card.data.eval_results is None and "therefore optimistic" in card.text


def test_there_is_no_card_without_detectors(tmp_path):
    assert write_card(write(tmp_path)) is None


def test_names_stay_text(tmp_path):
    name = "<script>x</script>"
    run = write(tmp_path, replace(WORLD, search=("sd14", "biggan", name)))
    path = run / "environment.json"
    environment = json.loads(path.read_text())
    environment["protocol"]["generators"] = [{"name": name, "title": name, "family": name}]
    path.write_text(json.dumps(environment))
    files = rendered(run)
    assert "script" not in Page(files["index.html"]).tags and "<script>" not in files["report.md"]


def alter(run, folder, **changes):
    """A copy of a run with another `finalists.json`."""
    copy = shutil.copytree(run, folder / "run")
    path = copy / "finalists.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return copy


def test_what_cannot_be_judged_costs_no_report(run, tmp_path):
    spoilt = shutil.copytree(run, tmp_path / "run")
    lost = spoilt / "finalists" / "scores" / "baseline_seed_0.parquet"
    lost.unlink()
    files = rendered(spoilt)
    for text in (files["index.html"], files["report.md"].replace("\\", "")):
        assert "Of the fresh trainings nothing can be said" in text and lost.name in text
        assert "Best configurations" in text
    assert json.loads(files["report.json"])["evidence"] is None


def test_two_scenes_are_enough_for_a_verdict_and_not_for_the_correction(run, tmp_path):
    """BBC-CV leaves a cluster out, which of two is half of all images; the verdict rests on nothing of it."""
    spoilt = shutil.copytree(run, tmp_path / "run")
    path = spoilt / "scores" / "images.parquet"
    images = pd.read_parquet(path)
    scene = images["part"] + images.groupby(["generator", "part"]).cumcount().mod(2).astype(str)
    images.assign(cluster=images["cluster"].where(images["part"] != "val", scene)).to_parquet(path)
    files = rendered(spoilt)
    assert "sealed generators, which nothing" in files["report.md"]
    if "corrected for that choice" not in files["report.md"]:
        assert "is not corrected for having been chosen" in files["report.md"]


def test_seeds_that_were_lost_are_told(run, tmp_path):
    runs = json.loads((run / "finalists.json").read_text())["runs"]
    lost = {**runs[0], "state": "failed", "error": "it broke"}
    assert "with 2 of 3 planned seeds" in rendered(alter(run, tmp_path, runs=[lost, *runs[1:]]))["report.md"]


def test_shortcuts_of_sealed_files_are_told(run, tmp_path):
    found = {"level": "shortcut", "sentences": ["Format tells real from fake on vqdm."]}
    files = rendered(alter(run, tmp_path, shortcuts=found))
    assert files["index.html"].count("Format tells real from fake on vqdm.") == 2, "at the top, in the audit"
    assert "- Format tells real from fake on vqdm." in files["report.md"]


def test_a_seal_that_is_open_is_not_called_closed(run, tmp_path):
    seal = {
        "opened": "2026-11-23T12:00:00+00:00",
        "command": ["python", "x"],
        "generators": ["midjourney", "vqdm"],
    }
    for name, said in (("closed", None), ("open", seal)):
        files = rendered(alter(run, tmp_path / name, tested=False, seal=said))
        assert ("were not opened" in files["report.md"]) == (said is None)
        assert ("not all been tested" in files["index.html"]) == (said is not None)


def test_fresh_trainings_that_failed_are_named_with_their_reason(run, tmp_path):
    summary = json.loads((run / "finalists.json").read_text())
    lost = {**summary["runs"][1], "state": "failed", "error": "the loss is <b>NaN</b>"}
    runs = [summary["runs"][0], lost]
    files = rendered(alter(run, tmp_path, tested=False, seal=None, runs=runs))
    for text in (files["index.html"], files["report.md"]):
        assert "Of 9 fresh trainings 1 completed, 1 failed." in text
    assert "the loss is &lt;b&gt;NaN&lt;/b&gt;" in files["index.html"]
    assert "NaN" in files["report.md"]
