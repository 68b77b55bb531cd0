from itertools import pairwise

import pytest

from genimage_core.curriculum import check_order, easiest_first, learnt_at, read_order

TRAIN = ("sd14", "adm", "glide")


def test_an_order_that_is_given_is_kept():
    assert easiest_first(TRAIN, "glide, sd14,adm") == ("glide", "sd14", "adm")
    assert easiest_first(("adm", "sd14"), "glide, sd14,adm") == ("sd14", "adm")
    assert (
        read_order("glide, sd14") == ("glide", "sd14") and read_order("measured") == read_order("none") == ()
    )


def test_what_the_base_knows_best_is_easiest():
    assert easiest_first(TRAIN, "measured", {"sd14": 0.6, "adm": 0.9, "glide": 0.7}) == (
        "adm",
        "glide",
        "sd14",
    )


def test_without_a_curriculum_the_order_stays():
    assert easiest_first(TRAIN, "none") == TRAIN


def test_an_order_that_leaves_one_out_is_refused():
    with pytest.raises(ValueError, match="it lacks adm"):
        easiest_first(TRAIN, "glide, sd14")


@pytest.mark.parametrize("epochs", range(1, 12))
@pytest.mark.parametrize("count", range(1, 6))
def test_generators_come_one_after_the_other_and_all_are_there_from_half_on(count, epochs):
    order = tuple("abcde"[:count])
    learnt = [learnt_at(order, epoch, epochs) for epoch in range(epochs)]
    assert all(now == order[: len(now)] and now for now in learnt)
    assert all(len(now) <= len(later) for now, later in pairwise(learnt))
    assert all(now == order for epoch, now in enumerate(learnt) if epoch + 1 >= epochs / 2)
    if epochs >= 2 * count:
        assert len(learnt[0]) == 1


@pytest.mark.parametrize(
    ("curriculum", "named"),
    [
        ("glide, sd14", "lacks adm"),
        ("glide, sd14, adm, bigan", "names 'bigan'"),
        ("glide, sd14, adm, glide", "names glide twice"),
    ],
)
def test_what_is_no_order_of_the_generators_is_refused(curriculum, named):
    with pytest.raises(ValueError, match=named):
        check_order(TRAIN, curriculum)
    check_order(TRAIN, "adm, glide, sd14")
