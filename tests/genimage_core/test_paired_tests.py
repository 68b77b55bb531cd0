import numpy as np
import pytest
from scipy.stats import mannwhitneyu
from scored_images import images

from genimage_core.paired_tests import decide, mcnemar, probability_of_improvement


def pairs(both, wins, losses, neither):
    """Decisions of two configurations on images of which reals and fakes are alike."""
    total = both + wins + losses + neither
    found = images(1, total // 2)
    one = np.repeat([True, True, False, False], [both, wins, losses, neither])
    other = np.repeat([True, False, True, False], [both, wins, losses, neither])
    return one, other, found


def test_mcnemar_of_published_tables():
    """Agresti, Categorical Data Analysis, 1990, p. 350: 1600 voters asked twice; Aoki's table of 164."""
    got = mcnemar(*pairs(794, 150, 86, 570), ("a",))["a"]
    assert (got.wins, got.losses) == (150, 86)
    assert got.p_value == got.adjusted == pytest.approx(3.7e-5, abs=2e-6)  # z^2 = 17.36
    assert mcnemar(*pairs(48, 28, 35, 53), ("a",))["a"].p_value == pytest.approx(0.45, abs=5e-4)


@pytest.mark.parametrize(("wins", "p_value"), [(0, 1.0), (1, 1.0), (5, 2 / 32), (6, 2 / 64)])
def test_mcnemar_is_a_fair_coin(wins, p_value):
    assert mcnemar(*pairs(50, wins, 0, 50 - wins), ("a",))["a"].p_value == pytest.approx(p_value)


def test_mcnemar_counts_a_cluster_once():
    one, other, _ = pairs(0, 12, 0, 0)
    together = mcnemar(one, other, images(1, 6, np.repeat([0, 1, 2], 4)), ("a",))["a"]
    assert (together.wins, together.losses, together.p_value) == (3, 0, 0.25)
    split = np.array([True, False] * 6)  # every cluster is won and lost alike
    assert mcnemar(split, ~split, images(1, 6, np.repeat([0, 1, 2], 4)), ("a",))["a"].wins == 0


def test_holm_corrects_for_the_number_of_generators():
    found = images(4, 10)
    one, other = np.zeros(80, bool), np.zeros(80, bool)
    for place, wins in enumerate((9, 6, 8, 2)):
        one[20 * place : 20 * place + wins] = True
    got = mcnemar(one, other, found, found.generators)
    p = [2 / 2**9, 2 / 2**6, 2 / 2**8, 2 / 2**2]
    assert [got[name].p_value for name in "abcd"] == pytest.approx(p)
    assert [got[name].adjusted for name in "abcd"] == pytest.approx([4 * p[0], 2 * p[1], 3 * p[2], p[3]])
    assert mcnemar(one, other, found, ()) == {}


def test_all_detectors_that_count_decide_together():
    found = images(2, 2)
    logits = np.zeros((2, 2, 8))
    logits[0, 0], logits[1, 0], logits[:, 1] = 3.0, -1.0, -2.0
    weights = np.array([[1.0, 0.5], [0.0, 0.5]])  # generator a is judged by the first fold alone
    assert decide(logits, found, weights).tolist() == [False] * 2 + [True] * 2 + [True] * 2 + [False] * 2


def test_probability_of_improvement_is_that_of_mann_and_whitney():
    rng = np.random.default_rng(8)
    one, other = rng.normal(0.2, 1, (5, 3)).round(), rng.normal(0, 1, (5, 3)).round()  # with ties
    expected = [mannwhitneyu(one[:, g], other[:, g]).statistic / 25 for g in range(3)]
    got = probability_of_improvement(one, other)
    assert got.value == pytest.approx(np.mean(expected))
    back = probability_of_improvement(other, one)
    assert (back.value, back.low, back.high) == pytest.approx((1 - got.value, 1 - got.high, 1 - got.low))


def test_five_seeds_that_agree_are_not_certainty():
    ones, zeros = np.ones((5, 4)), np.zeros((5, 4))
    got = probability_of_improvement(ones, zeros)
    assert (got.value, got.high) == (1, 1) and got.low == pytest.approx(
        0.5655, abs=1e-4
    )  # Wilson's of 5 in 5
    with pytest.raises(ValueError, match="same generators"):
        probability_of_improvement(ones, zeros[:, :2])
