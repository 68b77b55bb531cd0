import numpy as np
import pytest
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from search.halving import Rungs


class StubTrial:
    def __init__(self, number):
        self.trial_id = str(number)


@pytest.mark.parametrize(("first", "last", "factor"), [(1, 9, 3), (2, 20, 2), (1, 5, 4), (3, 3, 3)])
@pytest.mark.parametrize("seed", range(5))
def test_decisions_are_those_of_ray_tune(first, last, factor, seed):
    random = np.random.default_rng(seed)
    rungs = Rungs(first, last, factor)
    reference = AsyncHyperBandScheduler(
        time_attr="epoch", metric="value", mode="max", max_t=last, grace_period=first, reduction_factor=factor
    )
    bracket, reached = reference._brackets[0], dict.fromkeys(range(12), 0)
    while reached:
        trial = int(random.choice(list(reached)))
        reached[trial] += 1
        value = float(random.normal(trial / 4))
        kept = rungs.keeps(trial, reached[trial], value)
        decision = bracket.on_result(StubTrial(trial), reached[trial], value)
        assert kept == (decision == TrialScheduler.CONTINUE)
        if not kept or reached[trial] == last:
            del reached[trial]
    filled = {milestone: recorded for milestone, recorded in bracket._rungs if recorded}
    ours = {epoch: values for epoch, values in rungs.values.items() if values}
    assert ours == {m: {int(t): v for t, v in recorded.items()} for m, recorded in filled.items()}


def test_a_value_that_is_given_again_changes_nothing():
    rungs = Rungs(1, 9, 3)
    for trial in range(3):
        assert rungs.keeps(trial, 1, trial / 10)
    before = rungs.values
    assert rungs.keeps(0, 1, 0.9) and rungs.keeps(0, 2, -1.0)
    assert rungs.values == before
    assert not rungs.keeps(3, 1, 0.0)


def test_no_rung_lies_beyond_the_last_epoch():
    assert list(Rungs(1, 10, 3).values) == [1, 3, 9] and list(Rungs(2, 3, 2).values) == [2]
