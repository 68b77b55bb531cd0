import threading

import pytest

from search import capacity
from search.capacity import ASK_S, Capacity, GroupShape, wait_for_room

SHAPE = GroupShape(2, 1.0, 0.0)
NODE = {"CPU": 4.0}


class Cluster:
    """Nodes and a clock that the test moves."""

    def __init__(self, *nodes):
        self.nodes, self.now, self.asked, self.notes = list(nodes), 0.0, 0, []

    def living(self):
        self.asked += 1
        return list(self.nodes)

    def capacity(self):
        return Capacity(SHAPE, 2, 5, lambda *change: self.notes.append(change), self.living, lambda: self.now)


def test_room_follows_nodes_that_join_and_leave():
    cluster = Cluster(NODE)
    groups = cluster.capacity()
    seen = [groups()]
    for nodes in ([NODE, NODE], [NODE] * 9, [NODE], [], [{"CPU": 3.0}]):
        cluster.nodes, cluster.now = nodes, cluster.now + ASK_S
        seen.append(groups())
    assert seen == [2, 4, 5, 2, 0, 1]
    assert cluster.notes == [(2, 4), (9, 5), (1, 2), (0, 0), (1, 1)]


def test_ray_is_asked_rarely_however_often_room_is_asked_for():
    cluster = Cluster(NODE)
    groups = cluster.capacity()
    for _ in range(1000):
        groups()
        cluster.now += ASK_S / 100
    assert cluster.asked == 9
    assert cluster.notes == []


@pytest.fixture
def resources(monkeypatch):
    """What Ray would say is free and what is there; the test sets both."""
    there = {"free": [], "all": []}
    monkeypatch.setattr(capacity, "POLL_S", 0.01)
    monkeypatch.setattr(
        capacity, "available_resources_per_node", lambda: dict(enumerate(there["free"])), raising=True
    )
    monkeypatch.setattr(capacity, "living_nodes", lambda: there["all"])
    return there


def test_there_is_room_at_once(resources):
    resources["free"] = resources["all"] = [NODE]
    assert wait_for_room(SHAPE, threading.Event(), 0.0)


def test_room_that_others_use_is_waited_for_without_limit(resources):
    resources["all"] = [NODE]
    threading.Timer(0.3, lambda: resources.update(free=[{"CPU": 1.0}, {"CPU": 1.0}])).start()
    assert wait_for_room(SHAPE, threading.Event(), 0.05)


def test_nodes_that_stay_away_end_the_waiting(resources):
    resources["all"] = [{"CPU": 1.0}]
    with pytest.raises(TimeoutError, match="no node with room for 2 workers"):
        wait_for_room(SHAPE, threading.Event(), 0.05)


def test_waiting_can_be_given_up(resources):
    resources["all"] = [NODE]
    given_up = threading.Event()
    threading.Timer(0.1, given_up.set).start()
    assert not wait_for_room(SHAPE, given_up, 60.0)
