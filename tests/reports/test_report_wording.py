import pytest
from synthetic_run import cut_off_trials, ten_trials, trial, write_run

from reports import wording
from reports.records import read_run
from reports.tables import build


def verdict(tmp_path, records, **changes):
    return build(read_run(write_run(tmp_path, records, **{"simulated": False} | changes))).verdict


def test_an_improvement_is_called_optimistic(tmp_path):
    assert verdict(tmp_path, ten_trials()) == (
        "Best of 10 trials on validation images, one seed (6 completed, 3 stopped early, 1 failed): trial 7 "
        "reaches off-family accuracy 0.712 against 0.655 for the baseline (difference +0.057). "
        "This is the highest of 6 noisy scores and therefore optimistic; "
        "it is not yet evidence of an improvement."
    )


def test_the_baseline_as_the_best(tmp_path):
    assert verdict(tmp_path, [trial(0, 0.7), trial(1, 0.65), trial(2, 0.68)]) == (
        "The baseline is the best of 3 trials on validation images, one seed: the best searched trial, "
        "number 2, stays below it with off-family accuracy 0.680 against 0.700 for the baseline "
        "(difference −0.020). "
        "One seed does not show that no configuration can help."
    )


def test_a_tie_is_no_improvement(tmp_path):
    said = verdict(tmp_path, [trial(0, 0.7), trial(1, 0.7)])
    assert said.startswith("The baseline is the best of 2 trials")
    assert "number 1, equals it at off-family accuracy 0.700" in said


def test_a_tiny_difference_keeps_its_size(tmp_path):
    assert "(difference +0.0002)" in verdict(tmp_path, [trial(0, 0.7), trial(1, 0.7002)])


def test_only_the_baseline(tmp_path):
    said = verdict(tmp_path, [trial(0, 0.655), trial(1, 0.7, "stopped", epochs=1)])
    assert said == (
        "Only the baseline has a final value: off-family accuracy 0.655 on validation images, one seed "
        "(1 completed, 1 stopped early, 0 failed). There is no searched trial to compare it with."
    )


def test_without_a_baseline_nothing_is_compared(tmp_path):
    said = verdict(tmp_path, [trial(0, None, "failed"), trial(1, 0.7)])
    assert "trial 1 reaches off-family accuracy 0.700" in said
    assert "nothing can be said about an improvement" in said
    assert "a single noisy score" in said


def test_nothing_to_judge(tmp_path):
    assert verdict(tmp_path, []) == "No trial has finished yet, so there is nothing to compare."
    failed = [trial(0, None, "failed"), trial(1, 0.6, "stopped", epochs=1)]
    assert verdict(tmp_path, failed) == (
        "No trial has completed (1 stopped early, 1 failed), so there is no best configuration."
    )
    lost = trial(0, 0.6)
    del lost["epochs"][-1]["off_family_accuracy"]
    assert "has a value of off-family accuracy" in verdict(tmp_path, [lost])


def test_interrupted_trials_are_tallied_where_there_are_any(tmp_path):
    said = verdict(tmp_path, cut_off_trials())
    assert said.startswith(
        "Best of 8 trials on validation images, one seed (4 completed, 1 stopped early, 1 failed, "
        "2 interrupted): trial 3 reaches off-family accuracy 0.690"
    )
    assert "the highest of 4 noisy scores" in said


def test_an_interrupted_baseline_is_said_to_be_the_reason(tmp_path):
    said = verdict(tmp_path, [trial(0, 0.6, "interrupted", epochs=1), trial(1, 0.7)])
    assert (
        "The baseline was interrupted and has no final value, so nothing can be said about an improvement."
        in said
    )


def test_nothing_finished_before_the_interruption(tmp_path):
    interrupted = [trial(0, 0.6, "interrupted", epochs=1), trial(1, None, "interrupted")]
    assert verdict(tmp_path, interrupted) == (
        "No trial has finished (2 interrupted), so there is nothing to compare. The baseline was interrupted."
    )
    assert verdict(tmp_path, [*interrupted, trial(2, 0.6, "stopped", epochs=1)]) == (
        "No trial has completed (1 stopped early, 0 failed, 2 interrupted), so there is no best "
        "configuration. The baseline was interrupted."
    )


def limits(tmp_path, records, **changes):
    return "\n".join(build(read_run(write_run(tmp_path, records, **changes))).limits)


CUT_OFF = (
    "The search was ended before all planned trials ran (6 of 10 finished); what the others would have "
    "reached is not known."
)


@pytest.mark.parametrize(
    ("records", "planned", "said"),
    [
        (cut_off_trials(), 10, True),
        (cut_off_trials(), 6, False),
        (cut_off_trials(), None, False),
        (ten_trials()[:6], 10, False),
    ],
)
def test_a_search_that_was_cut_off_has_that_limit(tmp_path, records, planned, said):
    assert (CUT_OFF in limits(tmp_path, records, trials=planned)) == said


@pytest.mark.parametrize(
    ("simulated", "base", "said"),
    [
        (False, {"simulated": True}, wording.SIMULATED_BASE),
        (False, {"simulated": False}, ""),
        (False, None, ""),
        (True, {"simulated": True}, wording.SIMULATED),
    ],
)
def test_a_simulated_base_of_a_run_on_other_data_is_noted(tmp_path, simulated, base, said):
    report = build(read_run(write_run(tmp_path, ten_trials(), simulated=simulated, base=base)))
    assert report.notice == said
    assert [line for line in report.limits if line.startswith("Simulated")] == ([said] if said else [])


@pytest.mark.parametrize(
    ("data", "base", "differs"),
    [
        ("none", "jpeg96", "(jpeg96, here none)"),
        ("jpeg96", "none", "(none, here jpeg96)"),
        (None, "jpeg96", "(jpeg96, here not recorded)"),
        ("jpeg96", "jpeg96", ""),
        ("jpeg96", None, ""),
    ],
)
def test_a_base_of_another_alignment_is_a_limit(tmp_path, data, base, differs):
    changes = {"data": {"format_alignment": data}, "base": {"format_alignment": base}}
    said = limits(tmp_path, ten_trials(), **changes)
    sentence = (
        f"The base was trained on images aligned differently {differs}, so it may carry a file-format "
        "shortcut into every trial."
    )
    assert sentence in said if differs else "aligned differently" not in said


def test_an_unfinished_or_simulated_run_says_so(tmp_path):
    records = [trial(0, 0.6), trial(1, 0.7)]
    assert verdict(tmp_path / "a", records, timing=None).startswith(
        "Interim, as the run has not ended. Best of 2"
    )
    assert verdict(tmp_path / "b", records, simulated=True).endswith("The images are simulated.")
    assert "simulated" not in verdict(tmp_path / "c", records)


def test_no_verdict_ever_claims_an_improvement_without_the_caveat(tmp_path):
    for i, value in enumerate((0.5, 0.655, 0.66, 0.99)):
        said = verdict(tmp_path / str(i), [trial(0, 0.655), trial(1, value)])
        assert ("not yet evidence" in said) == (value > 0.655)


def test_limits_name_what_was_judged_and_what_was_sealed(tmp_path):
    report = build(read_run(write_run(tmp_path, ten_trials())))
    text = "\n".join(report.limits)
    assert "3 generators (ADM, GLIDE, BigGAN)" in text
    assert "Sealed generators (Midjourney, VQDM) were not opened" in text
    assert "stopped early" in text and "Simulated data" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "+0.000"),
        (0.0571, "+0.057"),
        (-0.0571, "−0.057"),
        (-0.00004, "−0.00004"),
        (1e-9, "+0.000"),
        (-1e-17, "+0.000"),
    ],
)
def test_signed(value, text):
    assert wording.signed(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (0.42, "0.4 s"), (34, "34 s"), (412, "6 min 52 s"), (7260, "2 h 01 min")],
)
def test_duration(seconds, text):
    assert wording.duration(seconds) == text


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({"low": 0.05, "high": 0.5}, "0.05 to 0.5"),
        ({"low": 0, "high": 4, "type": "int"}, "0 to 4; whole numbers"),
        ({"low": 1e-5, "high": 1e-3, "log": True}, "1e-05 to 0.001; log yes"),
        ({"choices": ["low_pass", "ring"]}, "one of low_pass, ring"),
        ("low_pass", "low_pass"),
        (None, "–"),
        (True, "yes"),
    ],
)
def test_span(entry, text):
    assert wording.span(entry) == text


def test_titles():
    assert wording.fold_title("sd14", ("sd14",)) == "SD v1.4"
    assert wording.fold_title("all_but_adm", ("sd14", "glide")) == "all but ADM"
    assert wording.fold_title("all_but_stable_diffusion", ("adm", "glide")) == "all but stable diffusion"
    assert wording.fold_title("custom", ()) == "custom"
    assert wording.metric_title("my_score") == "my score"
    assert wording.capitalised("AUROC") == "AUROC"
