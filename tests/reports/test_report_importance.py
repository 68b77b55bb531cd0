import optuna
import pytest

from reports.importance import assess
from reports.records import Epoch, Trial

SPACE = {"x": {"low": 0.0, "high": 1.0}, "y": {"low": 0.0, "high": 1.0}, "kind": "low_pass"}


def made(number, value, state="completed", role="searched", **config):
    return Trial(number, role, state, config=config, epochs=(Epoch(1, metrics={"score": value}),))


def ramp(trials):
    """The value is x alone; y wanders."""
    return [made(n, n / trials, x=n / trials, y=(n * 0.618) % 1) for n in range(trials)]


@pytest.mark.parametrize(("trials", "method"), [(12, "fANOVA"), (49, "fANOVA"), (50, "PED-ANOVA")])
def test_the_parameter_that_matters_leads_and_the_method_is_named(trials, method):
    found = assess(ramp(trials), SPACE, "score")
    assert found.evaluator.startswith(method)
    assert found.trials == trials
    assert found.shares[0][0] == "x" and found.shares[0][1] > 0.8
    assert sum(share for _, share in found.shares) == pytest.approx(1)
    assert str(trials) in found.note
    assert ("unreliable" in found.note) == (trials < 50)


def test_it_is_deterministic():
    assert assess(ramp(10), SPACE, "score") == assess(ramp(10), SPACE, "score")


def test_only_completed_searched_trials_with_a_value_are_used():
    others = [
        made(90, 0.5, role="baseline", x=0.0, y=0.0),
        made(91, 0.5, state="stopped", x=0.1, y=0.1),
        made(94, 0.5, state="interrupted", x=0.3, y=0.1),
        made(92, None, x=0.1, y=0.1),
        Trial(93, "searched", "failed", config={"x": 0.2, "y": 0.1}),
    ]
    assert assess(ramp(3) + others, SPACE, "score").note == "Too few trials: 3 usable, at least 4 are needed."
    assert assess(ramp(6) + others, SPACE, "score").trials == 6


def test_cases_with_nothing_to_explain():
    level = [made(n, 0.5, x=n / 6, y=0.1) for n in range(6)]
    assert assess(level, SPACE, "score").note == "All trials have the same value: nothing to explain."
    fixed = [made(n, n / 6, kind="low_pass") for n in range(6)]
    assert assess(fixed, SPACE, "score").note == "No parameter was searched."
    assert assess([], SPACE, "score").shares == ()


def test_values_outside_the_recorded_range_choices_and_conditional_parameters():
    trials = [
        made(
            n, n / 10, x=n * 0.3, kind=("low_pass", "ring")[n % 2], depth=n % 3, **({"z": n} if n % 2 else {})
        )
        for n in range(10)
    ]
    space = SPACE | {"depth": {"low": 0, "high": 4, "type": "int"}, "kind": {"choices": ["low_pass", "ring"]}}
    found = assess(trials, space, "score")
    assert {name for name, _ in found.shares} == {"x", "kind", "depth"}
    assert found.unassessed == ("z",)


def test_the_callers_logging_level_is_left_alone():
    before = optuna.logging.get_verbosity()
    assess(ramp(5), SPACE, "score")
    assert optuna.logging.get_verbosity() == before
