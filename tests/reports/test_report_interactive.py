"""Optuna's interactive figures: what is drawn of a study, and that the study is only read."""

import json
import re
import shutil
import sqlite3
import sys
from datetime import datetime, timedelta

import optuna
import pytest
from browser import WIDTHS, check_page, dump, needs_chromium
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial
from synthetic_run import ten_trials, write_run
from test_report_page import HOSTILE, Page

from reports import study_file
from reports.__main__ import main
from reports.interactive import draw, rank_parameters, write_interactive
from reports.study_file import read_study

STATES = {"completed": TrialState.COMPLETE, "stopped": TrialState.PRUNED, "failed": TrialState.FAIL}
TITLES = [
    "Optimisation history",
    "Timeline",
    "Parameter importance",
    "Value against each parameter",
    "Configurations as lines",
    "The two most important parameters",
]


def distribution(value):
    return CategoricalDistribution([value, "none"]) if isinstance(value, str) else FloatDistribution(0, 1)


def frozen(record, more=None):
    """A trial as the search keeps it: of the baseline no parameters, of a failed one no value."""
    values = {"mask_radius": record["config"]["mask_radius"], "noise_scale": record["config"]["noise_scale"]}
    values = (values | (more or {})) if record["number"] else {}
    kinds = {name: distribution(value) for name, value in values.items()}
    state, epochs = STATES[record["state"]], record["epochs"]
    made = create_trial(
        state=state, params=values, distributions=kinds, user_attrs={"role": record["role"]},
        value=epochs[-1]["off_family_accuracy"] if epochs else None,
    )  # fmt: skip
    made.datetime_start = datetime(2026, 11, 23, 8) + timedelta(minutes=record["number"])
    made.datetime_complete = made.datetime_start + timedelta(seconds=50)
    return made


def with_study(folder, records, more=None, **changes):
    run = write_run(folder, records, **changes)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = f"sqlite:///{run / 'study.db'}"
    study = optuna.create_study(study_name="fft", storage=storage, direction="maximize")
    study.add_trials([frozen(record, more) for record in records])
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return with_study(tmp_path_factory.mktemp("run"), ten_trials(), best=True)


@pytest.fixture(scope="module")
def text(run):
    return write_interactive(run).read_text(encoding="utf-8")


def own(text):
    """The page without the library of 4 MB."""
    return text[: text.index("<script>")] + text[text.index("</head>") :]


def drawn(text):
    """Data of every figure on a page: type and x and y of its traces."""
    calls = re.findall(r'Plotly\.newPlot\(\s*"([^"]+)",\s*(\[.*?\]),\s*\{"', own(text), flags=re.S)
    return {name: json.loads(traces) for name, traces in calls}


def test_all_six_figures_are_drawn(text):
    titles = re.findall(r"<h2>(.*?)</h2>", own(text))
    assert titles == TITLES
    figures = drawn(text)
    assert list(figures) == [title.lower().replace(" ", "-") for title in TITLES]
    history = next(trace for trace in figures["optimisation-history"] if trace["mode"] == "markers")
    assert history["x"] == [0, 1, 3, 5, 7, 9], "completed ones, by their own numbers"
    slices = figures["value-against-each-parameter"]
    assert [len(trace["x"]) for trace in slices] == [5, 5], "the baseline has no parameters"
    bars = [bar for trace in figures["timeline"] for bar in trace["y"]]
    assert sorted(bars) == list(range(10))


def test_the_two_most_important_parameters_are_those_of_the_ranking(run):
    study = read_study(run / "study.db")
    ranking = rank_parameters(study)
    assert sorted(ranking.names) == ["mask_radius", "noise_scale"] and ranking.assessed == 2
    assert ranking.names[0] == "mask_radius"  # by which the values rise
    assert len(ranking.trials) == 5


def test_the_page_says_what_it_is_and_forbids_requests(text):
    page = " ".join(own(text).split())
    assert "Simulated data:" in page and "with 10 trials" in page and 'href="index.html"' in page
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy.startswith("default-src 'none'; form-action 'none';") and "http" not in policy
    outside = [v for _, k, v in Page(own(text)).attributes if k in ("src", "href") and v != "index.html"]
    assert outside == []


def test_the_study_is_only_read(run):
    def found():
        return {path.name: path.read_bytes() for path in run.glob("study*")}

    before = found()
    write_interactive(run)
    assert found() == before and list(before) == ["study.db"]


def test_a_study_that_is_being_written_to_is_read_as_it_was(tmp_path):
    run = with_study(tmp_path, ten_trials()[:6])
    writer = sqlite3.connect(run / "study.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM trials")
    assert len(read_study(run / "study.db").trials) == 6
    writer.execute("ROLLBACK")
    writer.close()


@pytest.fixture
def half_written(tmp_path):
    """A database whose writer has got no further than half of what it wants to write."""
    run = with_study(tmp_path / "run", ten_trials()[:6])
    writer = sqlite3.connect(run / "study.db", isolation_level=None)
    writer.execute("PRAGMA cache_size = 1")  # so that pages reach the disk at once
    writer.execute("BEGIN IMMEDIATE")
    for number in range(100):
        values = (f"key {number}", "x" * 500)
        writer.execute(
            "INSERT INTO study_user_attributes (study_id, key, value_json) VALUES (1, ?, ?)", values
        )
    yield run
    writer.execute("ROLLBACK")
    writer.close()


def test_a_writer_that_does_not_end_is_not_waited_for(half_written, monkeypatch):
    monkeypatch.setattr(study_file, "PATIENCE_S", 0.5)
    with pytest.raises(ValueError, match=r"study\.db cannot be read .* was being written to for 0\.5 s"):
        read_study(half_written / "study.db")


def test_what_a_killed_writer_left_is_said_to_be_mended_by_resuming(half_written, tmp_path):
    for name in ("study.db", "study.db-journal"):
        shutil.copy(half_written / name, tmp_path)
    before = (tmp_path / "study.db").read_bytes()
    with pytest.raises(ValueError, match=r"cut off while it wrote to it; search/run\.py --resume"):
        read_study(tmp_path / "study.db")
    assert (tmp_path / "study.db").read_bytes() == before
    sqlite3.connect(tmp_path / "study.db").execute("SELECT * FROM studies").fetchall()  # as resuming does
    assert len(read_study(tmp_path / "study.db").trials) == 6


def test_the_same_study_gives_the_same_bytes(run, text):
    assert write_interactive(run).read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("records", "missing"),
    [
        ([], ["No trial has completed.", "No trial has begun."]),
        (ten_trials()[:1], ["There are 0 completed searched trials, at least two are needed."]),
        (ten_trials()[:4], ["It cannot be told from 2 completed searched trials."]),
    ],
)
def test_what_cannot_be_drawn_yet_says_why(tmp_path, records, missing):
    charts = draw(read_study(with_study(tmp_path, records) / "study.db"), "Accuracy")
    said = [chart.words for chart in charts if not chart.content]
    assert [chart.title for chart in charts] == TITLES
    assert said and set(missing) <= set(said)
    assert all(chart.content for chart in charts if chart.words not in said)


def test_conditional_parameters_come_after_those_that_could_be_assessed(tmp_path):
    records = ten_trials()
    run = with_study(tmp_path, records)
    study = read_study(run / "study.db")
    extra = frozen(records[7], {"ring_width": "wide"})
    study.add_trial(extra)
    assert rank_parameters(study).names == ("mask_radius", "noise_scale", "ring_width")


def test_hostile_names_stay_text(tmp_path):
    run = with_study(tmp_path, ten_trials(), {HOSTILE: HOSTILE}, name=HOSTILE)
    text = own(write_interactive(run).read_text(encoding="utf-8"))
    page = Page(text)
    assert HOSTILE in "".join(page.text) and "<script>alert" not in text
    told = json.dumps(drawn(text))
    assert "&lt;script" in told and "<script" not in told


def test_what_is_no_study_is_named(tmp_path):
    run = write_run(tmp_path, ten_trials())
    path = run / "study.db"
    with pytest.raises(ValueError, match=r"study\.db is missing"):
        write_interactive(run)
    path.write_bytes(b"no database, though it is long enough to be taken for one" * 40)
    with pytest.raises(ValueError, match=r"study\.db cannot be read as an Optuna study"):
        write_interactive(run)
    path.unlink()
    sqlite3.connect(path).close()
    with pytest.raises(ValueError, match=r"study\.db cannot be read as an Optuna study"):
        write_interactive(run)


def test_the_command_links_it_from_the_report(tmp_path, capsys):
    run = with_study(tmp_path, ten_trials())
    assert main([str(run)]) == 0
    assert "interactive.html" not in (run / "report" / "index.html").read_text(encoding="utf-8")
    assert main([str(run), "--interactive"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(run / "report" / "interactive.html")
    for _ in range(2):
        report = (run / "report" / "index.html").read_text(encoding="utf-8")
        assert '<a href="interactive.html">' in report
        assert main([str(run)]) == 0  # later, from the records alone


def test_without_plotly_it_is_one_clear_line(tmp_path, capsys, monkeypatch):
    run = with_study(tmp_path, ten_trials())
    monkeypatch.setitem(sys.modules, "plotly", None)
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    assert main([str(run), "--interactive"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "need plotly" in error and "--extra interactive" in error
    assert not (run / "report").exists()
    assert main([str(run)]) == 0


def test_it_is_for_one_run(tmp_path, capsys):
    runs = [str(with_study(tmp_path / name, ten_trials()[:2])) for name in "ab"]
    assert main([*runs, "--interactive"]) == 2
    assert "--interactive is for one run" in capsys.readouterr().err


@needs_chromium
def test_figures_are_drawn_and_none_can_be_sent_away(run, text, tmp_path):
    shown = dump(run / "report" / "interactive.html", tmp_path)
    buttons = set(re.findall(r'data-title="([^"]*)"', shown))
    assert len(re.findall(r'class="plot-container', shown)) == len(TITLES)
    assert "Zoom in" in buttons and not [
        title for title in buttons if re.search("(?i)share|cloud|edit", title)
    ]


@needs_chromium
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_overflows_and_nothing_is_asked_for(run, text, tmp_path, width):
    check_page(run / "report" / "interactive.html", width, tmp_path)
