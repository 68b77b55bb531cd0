import pytest
from synthetic_run import SEARCH, cut_off_trials, folds, score, ten_trials, trial, write_run

from reports import views
from reports.matrices import cross_generator, judges, subtract
from reports.records import Fold, read_run
from reports.tables import build


def report_of(tmp_path, records=(), **changes):
    return build(read_run(write_run(tmp_path, records, **changes)))


def test_best_difference_and_order(tmp_path):
    report = report_of(tmp_path, ten_trials())
    assert report.best.trial == report.challenger.trial == 7
    assert report.best.difference == pytest.approx(0.057)
    assert [row.trial for row in report.ranking] == [7, 9, 3, 5, 0]
    assert report.best.worst_left_out == pytest.approx(0.662)
    assert report.best.in_domain == 0.95
    assert report.best.seconds == pytest.approx(3 * 8.5)


def test_the_baseline_is_appended_when_it_is_not_among_the_top(tmp_path):
    report = report_of(tmp_path, [trial(0, 0.5), *(trial(n, 0.6 + n / 100) for n in range(1, 8))])
    assert [row.trial for row in report.ranking] == [7, 6, 5, 4, 3, 0]


def test_counts(tmp_path):
    outcome = report_of(tmp_path, ten_trials()).outcome
    assert (outcome.completed, outcome.stopped, outcome.failed, outcome.planned) == (6, 3, 1, 10)
    assert outcome.retries == 2
    assert outcome.epochs_run == 6 * 3 + 1 + 2 + 1
    assert outcome.ended == ((0, 1), (1, 2), (2, 1), (3, 6))


def test_stopped_trials_are_never_best_and_have_no_difference(tmp_path):
    report = report_of(tmp_path, [trial(0, 0.6), trial(1, 0.9, "stopped", epochs=1), trial(2, 0.61)])
    assert report.best.trial == 2
    assert report.trials[1].difference is None
    assert report.trials[1].objective == 0.9


def test_interrupted_trials_are_counted_and_never_treated_as_completed(tmp_path):
    report = report_of(tmp_path, cut_off_trials())
    outcome = report.outcome
    counts = (outcome.completed, outcome.stopped, outcome.failed, outcome.interrupted)
    assert counts == (4, 1, 1, 2)
    assert outcome.ended == ((0, 2), (1, 2), (3, 4))
    assert report.best.trial == 3 and 6 not in [row.trial for row in report.ranking]
    assert report.trials[6].objective == 0.9 and report.trials[6].difference is None
    assert report.history[-1].best_so_far == 0.69


def test_interrupted_trials_stand_in_the_tables(tmp_path):
    report = report_of(tmp_path, cut_off_trials())
    assert ("Interrupted", "2") in views.outcome(report).rows
    assert [row[:3] for row in views.all_trials(report).rows[6:]] == [
        ("6", "interrupted", "1"),
        ("7", "interrupted", "0"),
    ]
    assert [row[0] for row in views.failures(report).rows] == ["4"]


def test_an_interrupted_baseline_is_shown_but_not_compared_with(tmp_path):
    report = report_of(tmp_path, [trial(0, 0.6, "interrupted", epochs=1), trial(1, 0.65)])
    assert report.best.trial == 1 and report.best.difference is None
    assert report.baseline_matrix is None
    assert views.leaderboard(report).rows[1][0] == "0 (baseline, interrupted)"


def test_ties_go_to_the_baseline_then_to_the_earlier_trial(tmp_path):
    report = report_of(tmp_path, [trial(0, 0.7), trial(1, 0.7), trial(2, 0.7)])
    assert [row.trial for row in report.ranking] == [0, 1, 2]
    report = report_of(tmp_path, [trial(0, 0.6), trial(1, 0.7), trial(2, 0.7)])
    assert [row.trial for row in report.ranking] == [1, 2, 0]


def test_a_completed_trial_without_a_value_is_not_ranked(tmp_path):
    lost = trial(2, 0.9)
    lost["epochs"][-1]["off_family_accuracy"] = float("nan")
    report = report_of(tmp_path, [trial(0, 0.6), trial(1, 0.65), lost])
    assert report.best.trial == 1
    assert report.outcome.completed == 3


def test_no_difference_to_a_baseline_that_did_not_complete(tmp_path):
    report = report_of(tmp_path, [trial(0, 0.6, "stopped", epochs=1), trial(1, 0.65)])
    assert report.best.difference is None
    assert report.baseline.state == "stopped"
    assert report.baseline_matrix is None


def test_history_follows_completed_trials_only(tmp_path):
    history = report_of(tmp_path, ten_trials()).history
    assert [p.best_so_far for p in history] == [0.655] * 3 + [0.69] * 4 + [0.712] * 3
    assert [p.trial for p in history if p.value is None] == [4]


@pytest.mark.parametrize(
    "states", [(), ("failed",), ("failed", "failed"), ("failed", "stopped"), ("interrupted",)]
)
def test_nothing_completed(tmp_path, states):
    records = [trial(n, None if s == "failed" else 0.6, s, epochs=1) for n, s in enumerate(states)]
    report = report_of(tmp_path, records, timing=None)
    assert report.best is report.challenger is report.challenger_matrix is report.baseline_matrix is None
    assert report.outcome.completed == 0
    assert not report.finished


# Two folds; the base has seen sd14. Off-family cells: sd14 row 0.6, 0.8; adm row 0.5.
FOLDS = (
    Fold("sd14", ("sd14",), ("glide", "adm"), ("glide", "adm")),
    Fold("adm", ("adm",), ("glide", "sd15"), ("glide",)),
)
MEASURED = {
    "adm": {"adm": 0.9, "glide": 0.5, "sd14": 0.7, "sd15": 0.4},
    "sd14": {"sd14": 1.0, "glide": 0.6, "adm": 0.8},
}


def matrix_of(tmp_path, objective="off_family_accuracy", measured=MEASURED, **cells):
    record = trial(1, 0.6)
    record["epochs"][-1]["matrix"] = {f: {g: score(a) for g, a in row.items()} for f, row in measured.items()}
    for where, change in cells.items():
        fold, generator = where.split("_on_")
        record["epochs"][-1]["matrix"][fold][generator].update(change)
    (read,) = read_run(write_run(tmp_path, [record])).trials
    return cross_generator(read, FOLDS, objective)


def test_matrix_order_kinds_and_brackets(tmp_path):
    matrix = matrix_of(tmp_path)
    assert matrix.generators == ("sd14", "sd15", "adm", "glide")
    assert [fold.name for fold in matrix.folds] == ["sd14", "adm"]
    assert matrix.families == (("stable_diffusion", 0, 1),)
    kinds = [[cell.kind if cell else None for cell in row] for row in matrix.cells]
    assert kinds == [
        ["trained", None, "off_family", "off_family"],
        ["known", "left_out", "trained", "off_family"],
    ]


def test_matrix_means_weigh_folds_alike(tmp_path):
    matrix = matrix_of(tmp_path)
    assert matrix.row_means == pytest.approx((0.7, 0.5))
    assert matrix.mean == pytest.approx(0.6)
    assert matrix.column_means[:2] == (None, None)
    assert matrix.column_means[2:] == pytest.approx((0.8, 0.55))


def test_matrix_counts_what_the_objective_looks_at(tmp_path):
    left_out = matrix_of(tmp_path, "left_out_accuracy")
    assert left_out.row_means == pytest.approx((0.7, 0.45))
    assert matrix_of(tmp_path, "in_domain_accuracy").row_means == pytest.approx((1.0, 0.9))
    assert matrix_of(tmp_path, "auroc").row_means == matrix_of(tmp_path).row_means


def test_differences_of_matrices_are_those_of_their_cells_and_means(tmp_path):
    one = matrix_of(tmp_path / "a", adm_on_glide={"accuracy": 0.7})
    other = matrix_of(tmp_path / "b", sd14_on_adm={"accuracy": float("nan")})
    found = subtract(one, other)
    cells = {(f.name, g): c for f, row in zip(found.folds, found.cells, strict=True)
             for g, c in zip(found.generators, row, strict=True)}  # fmt: skip
    assert cells["adm", "glide"].score.accuracy == pytest.approx(0.2)
    assert cells["adm", "glide"].score.fake_accuracy == pytest.approx(0.0)
    assert cells["sd14", "sd14"].score.accuracy == 0.0 and not cells["sd14", "sd14"].counts
    assert cells["sd14", "adm"].score.accuracy is None and cells["sd14", "sd15"] is None
    assert found.row_means == pytest.approx((0.0, 0.2)) and found.mean == pytest.approx(0.1)
    assert len(views.matrix_differences(found).rows) == 7


def test_matrices_that_are_laid_out_differently_are_not_subtracted(tmp_path):
    fewer = {fold: {g: a for g, a in row.items() if g != "glide"} for fold, row in MEASURED.items()}
    other = matrix_of(tmp_path / "b", measured=fewer)
    assert subtract(matrix_of(tmp_path / "a"), other) is None


def test_matrix_survives_missing_values(tmp_path):
    matrix = matrix_of(tmp_path, adm_on_glide={"accuracy": float("nan")})
    assert matrix.row_means[1] is None
    assert matrix.mean == pytest.approx(0.7)
    assert matrix_of(tmp_path, measured={}) is None
    assert matrix_of(tmp_path, measured={"sd14": {}}) is None


def test_matrix_of_unknown_folds_and_generators(tmp_path):
    matrix = matrix_of(tmp_path, measured={"new": {"zebra": 0.5, "adm": 0.6}, "sd14": {"sd14": 1.0}})
    assert matrix.generators == ("sd14", "adm", "zebra")
    assert {fold.name for fold in matrix.folds} == {"new", "sd14"}
    assert matrix.mean is None


def test_every_synthetic_cell_mean_is_the_objective(tmp_path):
    report = report_of(tmp_path, ten_trials())
    assert report.challenger_matrix.mean == pytest.approx(report.best.objective)
    assert report.baseline_matrix.mean == pytest.approx(0.655)


def test_judges():
    made = tuple(
        Fold(f["name"], tuple(f["train"]), tuple(f["left_out"]), tuple(f["off_family"])) for f in folds()
    )
    assert judges(made, "off_family_accuracy") == ("adm", "glide", "biggan")
    assert set(judges(made, "in_domain_accuracy")) == set(SEARCH)
    assert judges((), "off_family_accuracy") == ()


def test_generators_of_a_mapping_keep_their_titles_and_families(tmp_path):
    measured = {"flux1": {name: score(0.6) for name in ("flux2", "adm", "flux1")}}
    record = trial(0, 0.6)
    record["epochs"][-1]["matrix"] = measured
    named = [{"name": f"flux{n}", "title": f"FLUX.{n}", "family": "flux"} for n in (1, 2)]
    folds = [{"name": "flux1", "train": ["flux1"], "left_out": ["adm"], "off_family": ["adm"]}]
    report = report_of(tmp_path, [record], protocol={"folds": folds, "generators": named})
    matrix = report.baseline_matrix
    assert matrix.row_titles == ("FLUX.1",) and matrix.column_titles == ("ADM", "FLUX.1", "FLUX.2")
    assert matrix.families == (("flux", 1, 2),)


def test_what_was_forgotten_is_a_column_where_a_base_could_forget(tmp_path):
    records = ten_trials()
    for record in records:
        for epoch in record["epochs"]:
            epoch["forgetting"] = 0.12 if record["number"] else -0.03
    (tmp_path / "with").mkdir()
    (tmp_path / "without").mkdir()
    report = report_of(tmp_path / "with", records)
    table = views.leaderboard(report)
    at = table.columns.index("Forgotten")
    assert [row[at] for row in table.rows] == ["0.120"] * 4 + ["-0.030"]
    assert "Forgotten" in views.all_trials(report).columns
    plain = report_of(tmp_path / "without", ten_trials())
    assert "Forgotten" not in views.leaderboard(plain).columns + views.all_trials(plain).columns
