import json
import re
import xml.etree.ElementTree as ET
from dataclasses import asdict
from html.parser import HTMLParser

import pytest
from synthetic_run import cut_off_trials, environment, score, ten_trials, trial, write_run

from reports import figures
from reports.matrices import cross_generator
from reports.records import read_run
from reports.render import SCHEMA_NAME, write_report
from reports.tables import build

VOID = {"meta", "wbr", "br", "hr", "img", "link", "input"}
HOSTILE = '<script>alert("x")</script>|`*[a](http://evil.example)&'


class Page(HTMLParser):
    """Checks nesting and collects tags, attributes and text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.ids, self.text, self.attributes = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        self.ids += [value for key, value in attrs if key == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def rendered(run):
    folder = write_report(run).parent
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"), ten_trials(), best=True)


@pytest.fixture(scope="module")
def files(run):
    return rendered(run)


def test_the_three_files_are_written(run, files):
    assert write_report(run) == run / "report" / "index.html"
    assert set(files) == {"index.html", "report.md", "report.json"}


def test_the_page_is_well_formed_and_loads_nothing(files):
    page = Page(files["index.html"])
    assert not {"script", "link", "iframe", "object", "image"} & set(page.tags)
    assert "img" not in page.tags, "of this run no pictures were kept"
    assert not re.search(r"https?:|@import|//\w", files["index.html"])
    links = {value for _, key, value in page.attributes if key in ("href", "src") and value[0] != "#"}
    assert links == {"../best.yaml", "report.md", "report.json"}
    assert all(value.startswith("url(#") or "url(" not in value for _, _, value in page.attributes if value)


def test_the_contents_lead_to_every_section(files):
    contents = files["index.html"].partition("<nav")[2].partition("</nav>")[0]
    linked = re.findall(r'href="#(.*?)">(.*?)<', contents)
    assert linked == re.findall(r'<h2 id="(.*?)">(.*?)<', files["index.html"]) and len(linked) == 10


def test_ids_are_unique_and_references_resolve(files):
    page = Page(files["index.html"])
    assert len(page.ids) == len(set(page.ids)) > 50
    used = re.findall(r'(?:href="|url\()#([^")]+)', files["index.html"])
    assert used and set(used) <= set(page.ids)


def test_every_figure_has_words_and_a_table(files):
    page = Page(files["index.html"])
    described = [value for tag, key, value in page.attributes if tag == "div" and key == "aria-label"]
    assert page.tags.count("svg") == page.tags.count("figure") == page.tags.count("details") == 9
    assert sum(pair[1:] == ("role", "img") for pair in page.attributes) == 9
    assert all(described)


def test_the_page_says_what_it_must(files):
    text = " ".join(" ".join(Page(files["index.html"]).text).split())
    for words in (
        "Simulated data:",
        "Best of 10 trials",
        "fANOVA",
        "unreliable",
        "python search/run.py --space spaces/fft.yaml --out 'my runs/fft'",
        "best.yaml",
        "RuntimeError: CUDA error | device lost <b>",
        "abc1234",
        "f00d",
        "stopped early",
        "Goodput",
    ):
        assert words in text
        if "<b>" not in words:
            assert words in files["report.md"] or "|" in words
    assert text.index("Simulated data:") < text.index("Best of 10 trials") < text.index("Best configurations")
    order = ("The winner", "Across generators", "Trained anew", "Robustness", "What mattered",
             "How the search went", "What the augmentation does", "Audit of the data", "Limits",
             "Reproduce")  # fmt: skip
    body = files["index.html"].partition("</nav>")[2]
    places = [body.index(f">{title}") for title in order]
    assert places == sorted(places)
    titles = re.findall(r"^## (.*)$", files["report.md"], flags=re.M)
    assert [title.partition(":")[0] for title in titles] == list(order)


def test_real_data_has_no_banner(tmp_path):
    written = rendered(
        write_run(tmp_path, ten_trials()[:2], simulated=False, data={"root_kind": "directory"})
    )
    assert not any("imulated data" in text for text in written.values())


def test_markdown_tables_are_rectangular(files):
    blocks = re.findall(r"(?:^\|.*\|\n)+", files["report.md"], flags=re.M)
    assert len(blocks) >= 9
    for block in blocks:
        widths = {len(re.split(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1
    assert "| 7 (best) | 0.712 | +0.057 | 0.662 | 0.950 |" in files["report.md"]


def test_markdown_has_no_stray_blank_or_code_lines(files):
    assert "\n\n\n" not in files["report.md"]


def test_json_holds_every_table(run, files):
    loaded = json.loads(files["report.json"])
    report = build(read_run(run))
    assert loaded == json.loads(
        json.dumps(
            {"$schema": SCHEMA_NAME, "schema": 4, **asdict(report), "evidence": None, "robustness": []}
        )
    )
    assert loaded["best"]["trial"] == 7
    assert loaded["challenger_matrix"]["mean"] == pytest.approx(0.712)
    assert len(loaded["trials"]) == len(loaded["history"]) == 10
    assert loaded["simulated"] is True


def test_json_is_strict_even_with_lost_numbers(tmp_path):
    record = trial(1, 0.7, config={"mask_radius": float("nan")})
    record["epochs"][-1]["matrix"]["sd14"]["adm"]["auroc"] = float("inf")
    written = rendered(write_run(tmp_path, [trial(0, 0.6), record], timing={"wall_s": float("nan")}))
    json.loads(written["report.json"], parse_constant=pytest.fail)


def test_hostile_names_stay_text(tmp_path):
    record = trial(1, 0.7, config={HOSTILE: HOSTILE})
    record["epochs"][-1]["matrix"] = {HOSTILE: {HOSTILE: score(0.5)}}
    failed = trial(2, None, "failed", error=HOSTILE)
    changes = {
        "name": HOSTILE,
        "space": {HOSTILE: HOSTILE},
        "command": ["python", HOSTILE],
        "seeds": {HOSTILE: 0},
    }
    written = rendered(write_run(tmp_path, [trial(0, 0.6), record, failed], **changes))
    page = Page(written["index.html"])
    assert "script" not in page.tags
    links = [value for _, key, value in page.attributes if key == "href" and value[0] != "#"]
    assert links == ["report.md", "report.json"]
    assert HOSTILE in "".join(page.text)
    outside_code = re.sub(r"^    .*$", "", written["report.md"], flags=re.M)
    assert "<script" not in outside_code
    assert not re.search(r"(?<!\\)\]\(http", outside_code)


def test_the_same_records_give_the_same_bytes(run, files):
    assert rendered(run) == files


@pytest.mark.parametrize(
    "records",
    [
        [],
        [trial(0, None, "failed", error=None)],
        [trial(0, 0.6)],
        [trial(0, None, "failed"), trial(1, 0.6)],
        [trial(0, 0.6, "stopped", epochs=1), trial(1, 0.6, "stopped", epochs=2)],
        [trial(0, None, "interrupted")],
        [trial(0, 0.6, "interrupted", epochs=1), trial(1, 0.6)],
        [trial(0, 0.7), trial(1, 0.6)],
        [trial(1, 0.6) | {"epochs": [{"epoch": 1}]}],
    ],
)
def test_every_stage_of_a_run_has_a_page(tmp_path, records):
    written = rendered(write_run(tmp_path, records, timing=None))
    Page(written["index.html"])
    assert "The run is still going on or was cut off" in written["index.html"]
    assert "The run is still going on or was cut off" in written["report.md"]
    assert "There is no `best.yaml` yet" in written["report.md"]


def test_a_run_that_ended_early_says_how_far_it_came(tmp_path):
    written = rendered(write_run(tmp_path, [trial(0, 0.6)]))
    assert "The run ended with 1 trial of 10 planned." in written["report.md"]


def test_a_run_that_was_cut_off_says_so_everywhere(tmp_path):
    written = rendered(write_run(tmp_path, cut_off_trials()))
    page = " ".join(Page(written["index.html"]).text)
    for text in (page, written["report.md"]):
        assert "The run ended with 8 trials of 10 planned, 2 interrupted." in text
        assert "1 stopped early, 1 failed, 2 interrupted" in text
        assert "(6 of 10 finished)" in text
    assert "Triangle: interrupted" in page
    loaded = json.loads(written["report.json"])
    assert loaded["outcome"]["interrupted"] == 2
    assert [entry["state"] for entry in loaded["trials"][6:]] == ["interrupted"] * 2


def test_only_interruptions_are_news(files):
    assert "interrupted" not in files["report.md"]
    assert "Triangle" not in files["index.html"]


def test_simulated_base_weights_stand_above_the_verdict(tmp_path):
    run = write_run(tmp_path, ten_trials()[:2], simulated=False, base={"simulated": True})
    written = rendered(run)
    page = " ".join(Page(written["index.html"]).text)
    for text in (page, written["report.md"]):
        assert text.count("Simulated base weights:") == 2
        assert text.index("Simulated base weights:") < text.index("the best of 2 trials")


def legend_and_shapes(points):
    drawn = ET.fromstring(figures.history(points, "off_family_accuracy", "h"))
    markers = [use.attrib["href"] for use in drawn.iter("use")]
    return [text.text for text in drawn.iter("text")], markers


def points_of(tmp_path, records):
    return build(read_run(write_run(tmp_path, records))).history


def test_interrupted_trials_have_a_marker_of_their_own(tmp_path):
    others = [trial(0, 0.6), trial(1, 0.5, "stopped", epochs=1)]
    for i, (value, epochs) in enumerate(((0.5, 1), (None, 0))):
        before = legend_and_shapes(points_of(tmp_path / f"{i}a", others))
        records = [*others, trial(2, value, "interrupted", epochs=epochs)]
        texts, markers = legend_and_shapes(points_of(tmp_path / f"{i}b", records))
        assert "interrupted" not in before[0] and texts.count("interrupted") == 1
        assert len(set(markers)) > len(set(before[1]))
    both = legend_and_shapes(points_of(tmp_path / "both", cut_off_trials()))
    assert both[0].count("interrupted") == 1


def test_a_legend_of_all_six_entries_stays_inside_the_figure(tmp_path):
    drawn = ET.fromstring(figures.history(points_of(tmp_path, cut_off_trials()), "off_family_accuracy", "h"))
    width = float(drawn.attrib["viewBox"].split()[2])
    left = {
        text.text: float(re.search(r"rotate\(\S+ (\S+)", text.attrib["transform"])[1])
        for text in drawn.iter("text")
    }
    assert {"best so far", "baseline", "completed", "stopped early", "interrupted", "failed"} <= left.keys()
    assert left["failed"] + 6 * 5.5 < width  # six letters of 9 pt


def test_a_bare_environment_is_enough(tmp_path):
    write_run(tmp_path, [trial(0, 0.6), trial(1, 0.7)])
    (tmp_path / "environment.json").write_text('{"name": "bare", "objective": "off_family_accuracy"}')
    written = rendered(tmp_path)
    assert "not recorded" in written["index.html"]


def test_figures_are_plain_svg(run):
    records = read_run(run)
    matrix = cross_generator(records.trials[7], records.environment.folds, "off_family_accuracy")
    drawn = ET.fromstring(figures.heat_map(matrix, "m"))
    texts = [element.text for element in drawn.iter("text")]
    assert texts.count("0.712") == 9 and texts.count("0.950") == 4
    assert "SD v1.4" in texts and "trained on ↓" in texts
    assert {element.tag for element in drawn.iter()} <= {
        "svg",
        "g",
        "defs",
        "path",
        "text",
        "use",
        "clipPath",
        "rect",
    }


def test_cell_text_contrasts_with_its_colour():
    for accuracy in (0.4, 0.5, 0.6, 0.7, 0.72, 0.75, 0.8, 0.9, 1.0):
        shade = figures.colormaps["cividis"]((accuracy - 0.5) / 0.5)
        luminance = figures._luminance(shade)
        contrast = max((luminance + 0.05) / 0.05, 1.05 / (luminance + 0.05))
        assert contrast >= 4.5


def test_unusual_protocols_render(tmp_path):
    folds = [{"name": "all_but_stable_diffusion", "train": ["adm", "glide"], "left_out": ["sd14", "sd15"]}]
    record = trial(0, 0.6)
    record["epochs"][-1]["matrix"] = {
        "all_but_stable_diffusion": {g: score(0.6) for g in ("sd14", "sd15", "adm")}
    }
    protocol = environment()["protocol"] | {"folds": folds, "sealed": []}
    written = rendered(write_run(tmp_path, [record], protocol=protocol, objective="left_out_accuracy"))
    assert "all but stable diffusion" in written["index.html"]
    assert "family stable diffusion" in written["index.html"]


def test_the_shortcut_check_stands_on_every_page(tmp_path):
    check = {"level": "shortcut", "sentences": ["Format alone gives 100 %.", f"Align {HOSTILE}."]}
    files = rendered(write_run(tmp_path / "told", ten_trials(), shortcuts=check))
    text = "".join(Page(files["index.html"]).text)
    assert f"Shortcut check: Format alone gives 100 %. Align {HOSTILE}." in text
    assert "Shortcut check: Format alone gives 100 %." in files["report.md"]
    assert json.loads(files["report.json"])["shortcuts"] == check
    silent = rendered(write_run(tmp_path / "silent", ten_trials()))
    assert all("Shortcut check: not recorded" in silent[name] for name in ("index.html", "report.md"))


def test_sessions_and_what_was_taken_over_are_told(tmp_path):
    run = write_run(tmp_path / "run", ten_trials(), best=True)
    path = run / "environment.json"
    command = ["python", "search/run.py", "--resume", HOSTILE]
    told = {"resumed": [{"started": "2026-11-23T06:00", "command": command, "versions": {}}]}
    told["warm_start"] = {"first": [{"noise_scale": 0.1}, {"noise_scale": 0.2}]}
    path.write_text(json.dumps({**json.loads(path.read_text()), **told}))
    files = rendered(run)
    for text in (" ".join(Page(files["index.html"]).text), files["report.md"]):
        assert "2026-11-23T06:00" in text and "--resume" in text and "went on as it was left" in text
        assert "run again after the baseline: 2." in text
    assert HOSTILE not in files["index.html"]
