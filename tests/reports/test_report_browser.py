"""The pages in a browser, where there is one: nothing overflows, whatever the width; nothing is asked for."""

import json
import re

import numpy as np
import pytest
from browser import WIDTHS, check_page, cut_texts, links_of, look_at, needs_chromium
from synthetic_finalists import World, write_search
from synthetic_run import matrix, ten_trials, write_run

from reports.comparison_page import write_comparison
from reports.evidence_page import read_finals
from reports.records import read_run
from reports.render import write_report

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return write_report(write_run(tmp_path_factory.mktemp("run"), ten_trials(), best=True))


LONG = "a_generator_of_our_own_with_quite_a_long_name_version_"
SEARCH = tuple(f"{LONG}{number}" for number in range(4))
WORLD = World(
    search=SEARCH, sealed=(f"{LONG}8", f"{LONG}9"), base=SEARCH[:1], trials=5, top=2, seeds=3,
    val_per_class=20, test_per_class=20, gain=0.15,
)  # fmt: skip


@pytest.fixture(scope="module")
def finalists(tmp_path_factory):
    """A run whose finalists are tested, with names that are far too long."""
    run = write_search(tmp_path_factory.mktemp("run"), WORLD, np.random.default_rng(1))
    path = run / "trials.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        cells = matrix(line["epochs"][-1]["off_family_accuracy"], search=SEARCH, base=SEARCH[0])
        line["epochs"][-1]["matrix"] = cells
        line["config"] = {"noise_scale": 0.1 * line["number"], "mask_radius": 0.5 - 0.05 * line["number"]}
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    path = run / "environment.json"
    environment = json.loads(path.read_text())
    generators = (*WORLD.search, *WORLD.sealed)
    environment["protocol"]["generators"] = [{"name": n, "title": n, "family": n} for n in generators]
    path.write_text(json.dumps(environment))
    assert read_finals(run, read_run(run)).evidence
    (run / "best.yaml").write_text("name: best\n")
    return write_report(run)


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    long = "a_run_directory_with_a_name_that_is_far_too_long_for_any_narrow_screen_" * 2
    runs = [write_run(folder / name, ten_trials(), detector=name) for name in ("first", long, "third")]
    return write_comparison(runs, folder / "comparison")


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_page(page, tmp_path, width):
    check_page(page, width, tmp_path)


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_page_of_finalists(finalists, tmp_path, width):
    check_page(finalists, width, tmp_path)


def test_every_link_leads_somewhere(finalists, tmp_path):
    found = links_of(finalists, tmp_path)
    assert len(found) > 10
    for address, inside in found:
        assert inside if address[0] == "#" else (finalists.parent / address).is_file(), address


def test_no_name_is_cut_off_by_its_figure(finalists, page, tmp_path):
    assert cut_texts(finalists, tmp_path) == cut_texts(page, tmp_path) == []
    spoilt = tmp_path / "spoilt.html"
    text = page.read_text(encoding="utf-8")
    spoilt.write_text(re.sub(r"(<svg.*?>)", r'\1<text x="-50" y="20">cut</text>', text, count=1))
    assert cut_texts(spoilt, tmp_path) == ["cut"]


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_comparison(comparison, tmp_path, width):
    check_page(comparison, width, tmp_path)


def test_a_request_and_an_overflow_would_be_seen(page, tmp_path):
    planted = '<img src="http://127.0.0.1:9/x.png"><p style="width: 900px">wide</p></body>'
    spoilt = tmp_path / "spoilt.html"
    spoilt.write_text(page.read_text(encoding="utf-8").replace("</body>", planted), encoding="utf-8")
    inner, scrolled, wide, asked = look_at(spoilt, 360, tmp_path)
    assert scrolled > inner and wide == ["P."] and asked == ["http://127.0.0.1:9/x.png"]
