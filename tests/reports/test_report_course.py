import xml.etree.ElementTree as ET

from synthetic_run import cut_off_trials, epoch, ten_trials, trial, write_run

from reports.course import climb, follow
from reports.course_pictures import MOST_LINES, draw_course
from reports.records import read_run
from reports.render import write_report
from reports.tables import build
from reports.winner_wording import describe_divided, describe_winner

OBJECTIVE = "off_family_accuracy"


def read(folder, records):
    return read_run(write_run(folder, records)).trials


def test_who_reached_which_epoch_and_who_went_no_further(tmp_path):
    rungs = climb(read(tmp_path, ten_trials()), OBJECTIVE)
    # nine trials have an epoch, two end after the first and one after the second
    assert [(r.epoch, r.reached, r.stopped, r.lost) for r in rungs] == [
        (1, 9, 2, 0),
        (2, 7, 1, 0),
        (3, 6, 0, 0),
    ]
    assert rungs[2].best == 0.712 and rungs[2].median == (0.668 + 0.690) / 2
    assert rungs[0].best == max(0.712 - 0.02, 0.601)


def test_what_was_cut_off_is_lost_and_not_stopped(tmp_path):
    rungs = climb(read(tmp_path, cut_off_trials()), OBJECTIVE)
    assert (rungs[0].stopped, rungs[0].lost) == (1, 1)


def test_curves_leave_out_what_is_not_finite(tmp_path):
    broken = trial(1, epochs=2, value=0.5)
    broken["epochs"][0][OBJECTIVE] = float("nan")
    curves = follow(read(tmp_path, [broken, trial(2, None, "failed")]), OBJECTIVE)
    assert [(curve.trial, curve.points) for curve in curves] == [(1, ((2, 0.5),))]
    rung = climb(read(tmp_path, [broken]), OBJECTIVE)[0]
    assert rung.reached == 1 and rung.best is rung.median is None


def test_without_an_epoch_there_is_nothing_to_draw(tmp_path):
    assert climb([], OBJECTIVE) == () == climb(read(tmp_path, [trial(0, None, "failed")]), OBJECTIVE)
    assert draw_course(build(read_run(tmp_path))) is None


def test_of_very_many_trials_the_best_are_drawn(tmp_path):
    many = [trial(number, 0.5 + number / 1000, epochs=1) for number in range(MOST_LINES + 30)]
    picture = draw_course(build(read_run(write_run(tmp_path, many))))
    ET.fromstring(picture.svg)
    assert f"Only the {MOST_LINES}" in picture.caption and picture.table.rows[0][1] == str(MOST_LINES + 30)


def test_the_winner_in_words(tmp_path):
    report = build(read_run(write_run(tmp_path, ten_trials())))
    said = describe_winner(report)
    assert said.startswith("Trial 7 is the best searched configuration") and "0.712 against 0.655" in said
    assert "mask_radius 0.26, noise_scale 0.04;" in said
    assert describe_winner(build(read_run(write_run(tmp_path / "none", [trial(0, 0.5)])))) == ""


def test_trials_that_did_not_fit_are_named(tmp_path):
    small = [trial(n, 0.5) | {"epochs": [epoch(1, 0.5, micro_batch=8)]} for n in (1, 2)]
    one = trial(3, 0.5) | {"epochs": [epoch(1, 0.5, micro_batch=16)]}
    report = build(read_run(write_run(tmp_path, [trial(0, 0.4), *small, one])))
    assert report.divided == ((1, 8), (2, 8), (3, 16))
    said = describe_divided(report.divided)
    assert "trials 1 and 2 went through the device 8 images at a time; trial 3" in said
    assert said in write_report(tmp_path).read_text() and describe_divided(()) == ""


def test_time_of_the_finalists_stands_beside_that_of_the_search(tmp_path):
    run = write_run(tmp_path, ten_trials())
    (run / "finalists").mkdir()
    (run / "finalists" / "timing.json").write_text('{"wall_s": 77.0, "gpu_s": 7200.0}')
    page = write_report(run).read_text()
    assert "Finalists</th>" in page and "77 s" in page and "2 h 00 min" in page and "no GPU" in page
