import math

import pytest

from search.timing import Session, summarise_time


def session(started=1000.0, slots=1, groups=1):
    return Session(started, slots, groups, last_event=started)


def tell(session, at, number, *, started, train_s, eval_s, busy_s):
    epoch = {"train_s": train_s, "eval_s": eval_s, "busy_s": busy_s}
    session.add(at, number, started, epoch)
    session.last_event = at


def test_before_anything_has_happened():
    assert summarise_time([session()], 1007.0) == {"wall_s": 7.0, "sessions": 1}


def by_hand(started=1000.0):
    one = session(started, slots=2)
    tell(one, started + 15, 0, started=started + 10, train_s=6.0, eval_s=2.0, busy_s=4.0)
    tell(one, started + 20, 0, started=started + 15.5, train_s=6.0, eval_s=2.0, busy_s=4.0)
    tell(one, started + 26, 1, started=started + 20.5, train_s=7.0, eval_s=3.0, busy_s=5.0)
    return one


def test_a_sequence_worked_by_hand():
    assert summarise_time([by_hand()], 1030.0) == pytest.approx(
        {
            "wall_s": 30.0,
            "sessions": 1,
            "startup_s": 10.0,
            "first_result_s": 15.0,
            "train_s": 19.0,
            "eval_s": 7.0,
            "held_s": 32.0,  # two workers from 1010 to 1026
            "gpu_s": 0.0,
            "goodput": 26 / 32,
            "overhead_per_trial_s": 1.0,  # from 1020 to 1026, five of these busy
            "workers": 2,
        }
    )


def test_sessions_add_up_and_the_time_between_them_does_not_count():
    once, twice = summarise_time([by_hand()], 1026.0), summarise_time([by_hand(), by_hand(9000.0)], 9026.0)
    assert twice["wall_s"] == 2 * once["wall_s"] and twice["held_s"] == 2 * once["held_s"]
    assert (twice["goodput"], twice["overhead_per_trial_s"]) == (
        once["goodput"],
        once["overhead_per_trial_s"],
    )
    assert twice["sessions"] == 2 and twice["first_result_s"] == once["first_result_s"]


def test_a_session_without_an_epoch_costs_only_its_wall_time():
    idle = session(500.0)
    idle.last_event = 560.0
    timing = summarise_time([idle, by_hand(), session(2000.0)], 2010.0)
    assert timing["wall_s"] == 60.0 + 26.0 + 10.0 and timing["goodput"] == pytest.approx(26 / 32)
    assert not any(isinstance(value, float) and math.isinf(value) for value in timing.values())


def test_one_trial_has_no_overhead_of_later_ones():
    one = session()
    tell(one, 1015.0, 0, started=1010.0, train_s=4.0, eval_s=1.0, busy_s=5.0)
    timing = summarise_time([one], 1020.0)
    assert timing["overhead_per_trial_s"] is None and timing["goodput"] == 1.0


def test_trials_side_by_side_that_are_always_busy_have_no_overhead():
    both = session(slots=2, groups=2)
    tell(both, 1010.0, 0, started=1000.0, train_s=9.0, eval_s=1.0, busy_s=10.0)
    tell(both, 1012.0, 1, started=1000.0, train_s=11.0, eval_s=1.0, busy_s=12.0)
    timing = summarise_time([both], 1012.0)
    assert timing["goodput"] == pytest.approx(22 / 24)
    assert 0 <= timing["overhead_per_trial_s"] <= 2  # the first worker idles for two seconds at the end


def test_workers_are_held_only_while_their_nodes_are_there():
    one = session(slots=4, groups=2)
    one.room = [(1010.0, 1), (1030.0, 3)]
    tell(one, 1020, 0, started=1000.0, train_s=30.0, eval_s=2.0, busy_s=16.0)
    tell(one, 1040, 1, started=1020.0, train_s=40.0, eval_s=8.0, busy_s=24.0)
    timing = summarise_time([one], 1050.0)
    # Two workers a trial: two trials for 10 s, one for 20 s, three for 10 s.
    assert timing["held_s"] == 2 * (20 + 20 + 30) and timing["goodput"] == 80 / 140
    assert timing["overhead_per_trial_s"] == (70 - 40) / 2


def test_room_that_changes_after_the_last_result_does_not_count():
    one, other = by_hand(), by_hand()
    other.room = [(1026.0, 5)]
    assert other.held_s == one.held_s == 32.0


def test_gpu_seconds_are_those_of_the_workers_that_hold_one():
    one = by_hand()
    one.gpus = 0.5
    timing = summarise_time([one, by_hand(9000.0)], 9026.0)
    assert timing["gpu_s"] == 16.0 and timing["held_s"] == 64.0
