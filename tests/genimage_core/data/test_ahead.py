import os
import signal
import threading
from pathlib import Path

import pytest

from genimage_core.data.ahead import AHEAD, processes


def double(number):
    return 2 * number


def whoever(_):
    return os.getpid()


def die(number):
    if number == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def fail(path):
    raise ValueError(f"no good: {path}")


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_results_come_in_order(workers):
    with processes(workers) as map_ahead:
        assert list(map_ahead(double, ((n,) for n in range(50)))) == [2 * n for n in range(50)]
        assert list(map_ahead(double, ())) == []


def test_without_workers_nothing_leaves_this_process():
    with processes(0) as map_ahead:
        assert set(map_ahead(whoever, ((n,) for n in range(3)))) == {os.getpid()}
    with processes(2) as map_ahead:
        assert os.getpid() not in set(map_ahead(whoever, ((n,) for n in range(3))))


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_no_more_than_a_few_calls_are_taken_ahead(workers):
    taken, done = 0, 0

    def calls():
        nonlocal taken
        for number in range(100):
            taken += 1
            assert taken - done <= max(1, workers * AHEAD)
            yield (number,)

    with processes(workers) as map_ahead:
        for _ in map_ahead(double, calls()):
            done += 1
    assert done == 100


def test_a_process_that_dies_is_told_with_what_it_was_given():
    told = pytest.raises(RuntimeError, match=r"worker process died at or soon after: \d.*fewer workers")
    with told, processes(1) as map_ahead:
        list(map_ahead(die, ((n,) for n in range(20))))


@pytest.mark.parametrize("workers", [0, 1])
def test_errors_of_the_work_come_through(workers):
    with processes(workers) as map_ahead, pytest.raises(ValueError, match="no good: x"):
        list(map_ahead(fail, [(Path("x"),)]))


def test_fewer_than_no_workers_are_refused():
    with pytest.raises(ValueError, match="workers is -1"), processes(-1):
        pass


def test_threads_and_processes_are_gone_afterwards():
    before = threading.active_count()
    with processes(2) as map_ahead:
        list(map_ahead(double, ((n,) for n in range(4))))
    assert threading.active_count() == before
