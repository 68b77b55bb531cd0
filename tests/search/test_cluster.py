from itertools import product

import numpy as np
import pytest

from search import cluster
from search.capacity import GroupShape, fitting_workers
from search.cluster import plan_resources
from search.sections import ResourcesSection

AUTO = ResourcesSection()
LAPTOP = [{"CPU": 2.0}]


def node(cpus, gpus=0):
    return {"CPU": float(cpus), "memory": 1e9} | ({"GPU": float(gpus)} if gpus else {})


def packs(nodes, shape, groups):
    """Whether so many groups find room, placing worker after worker on the first node that has some."""
    left = [[n.get("CPU", 0.0), n.get("GPU", 0.0)] for n in nodes]
    for _ in range(groups * shape.workers):
        for room in left:
            if room[0] >= shape.cpus - 1e-9 and room[1] >= shape.gpus - 1e-9:
                room[0] -= shape.cpus
                room[1] -= shape.gpus
                break
        else:
            return False
    return True


def clusters(count):
    rng = np.random.default_rng(0)
    for _ in range(count):
        nodes = [node(rng.integers(0, 9), rng.integers(0, 5)) for _ in range(rng.integers(1, 4))]
        given = {
            "workers_per_trial": rng.choice(["auto", 1, 2, 3]),
            "gpus_per_worker": rng.choice(["auto", 0, 0.5, 1, 2]),
            "cpus_per_worker": rng.choice(["auto", 0.5, 1, 2, 3]),
        }
        section = {
            k: v if v == "auto" else int(v) if k.startswith("w") else float(v) for k, v in given.items()
        }
        yield nodes, ResourcesSection(**section), int(rng.integers(3, 6)), int(rng.integers(1, 20))


def test_what_is_planned_really_fits_on_random_clusters():
    planned = refused = 0
    for nodes, section, folds, trials in clusters(400):
        try:
            plan = plan_resources(nodes, section, folds, trials)
        except ValueError:
            refused += 1
            continue
        planned += 1
        assert 1 <= plan.concurrent <= trials
        assert 1 <= plan.shape.workers <= folds
        assert packs(nodes, plan.shape, plan.concurrent), (nodes, section, plan)
        # No group more would fit.
        assert plan.concurrent == trials or not packs(nodes, plan.shape, plan.concurrent + 1)
        if section.workers_per_trial != "auto":
            assert plan.shape.workers == section.workers_per_trial
        if section.gpus_per_worker != "auto":
            assert plan.shape.gpus == section.gpus_per_worker
        if section.cpus_per_worker != "auto":
            assert plan.shape.cpus == section.cpus_per_worker
    assert planned > 100 and refused > 20


@pytest.mark.parametrize(
    ("cpus", "trials", "folds"), list(product([1, 2, 4, 7, 16, 64], [1, 2, 10], [1, 2, 4]))
)
def test_automatic_plans_fit_without_gpus(cpus, trials, folds):
    plan = plan_resources([node(cpus)], AUTO, folds, trials)
    assert plan.shape.gpus == 0 and plan.shape.workers == min(folds, cpus)
    used = plan.concurrent * plan.shape.workers * plan.shape.cpus
    assert used <= cpus
    # Cores lie idle only if a share of one more each would not have gone round.
    assert cpus - used < plan.concurrent * plan.shape.workers


@pytest.mark.parametrize(
    ("gpus", "trials", "folds", "workers", "concurrent"),
    [
        (1, 10, 4, 1, 1),
        (4, 10, 4, 1, 4),
        (4, 2, 4, 2, 2),
        (8, 1, 4, 4, 1),
        (8, 8, 4, 1, 8),
        (8, 3, 4, 2, 3),
    ],
)
def test_a_trial_has_one_gpu_unless_gpus_outnumber_trials(gpus, trials, folds, workers, concurrent):
    plan = plan_resources([node(32, gpus)], AUTO, folds, trials)
    assert plan.shape.gpus == 1 and plan.shape.workers == workers and plan.concurrent == concurrent
    assert plan.shape.cpus == 32 // gpus


def test_gpus_on_several_nodes_are_counted_where_they_are():
    # One node has the GPUs, another most CPUs: no worker spans both.
    nodes = [node(4, 4), node(60)]
    plan = plan_resources(nodes, ResourcesSection(cpus_per_worker=4.0), 4, 16)
    assert plan.concurrent == 1
    assert plan_resources(nodes, ResourcesSection(cpus_per_worker=1.0), 4, 16).concurrent == 4


@pytest.mark.parametrize(
    ("nodes", "folds", "trials"),
    [
        ([node(2, 2), node(62)], 4, 16),
        ([node(1, 4)], 4, 16),
        ([node(3), node(1)], 2, 1),
        ([node(2), node(2), node(2)], 2, 1),
        ([node(8, 1), node(2, 1)], 2, 8),
    ],
)
def test_an_automatic_plan_is_found_on_machines_that_differ(nodes, folds, trials):
    plan = plan_resources(nodes, AUTO, folds, trials)
    assert packs(nodes, plan.shape, plan.concurrent)


def test_a_gpu_can_be_shared_by_workers():
    plan = plan_resources([node(8, 1)], ResourcesSection(gpus_per_worker=0.25), 4, 16)
    assert plan.shape.gpus == 0.25 and plan.concurrent * plan.shape.workers == 4


def test_gpus_can_be_left_alone():
    plan = plan_resources([node(4, 2)], ResourcesSection(gpus_per_worker=0.0), 2, 4)
    assert plan.shape.gpus == 0 and plan.shape.workers == 2


@pytest.mark.parametrize(
    ("nodes", "section", "named"),
    [
        (LAPTOP, {"cpus_per_worker": 3.0}, "2 CPUs and 0 GPUs"),
        (LAPTOP, {"gpus_per_worker": 1.0}, "2 CPUs and 0 GPUs"),
        (LAPTOP, {"workers_per_trial": 3, "cpus_per_worker": 1.0}, "one trial needs 3 workers"),
        ([node(2), node(2)], {"cpus_per_worker": 3.0}, "lower resources"),
        ([node(0)], {}, "0 CPUs"),
        ([], {}, "0 CPUs"),
    ],
)
def test_what_cannot_run_is_refused_in_one_line(nodes, section, named):
    with pytest.raises(ValueError) as refused:
        plan_resources(nodes, ResourcesSection(**section), 4, 10)
    assert named in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("nodes", "shape", "count"),
    [
        ([node(3)], GroupShape(1, 1.0, 0.0), 3),
        ([node(3)], GroupShape(1, 2.0, 0.0), 1),
        ([node(3), node(3)], GroupShape(1, 2.0, 0.0), 2),
        ([node(8, 1)], GroupShape(1, 1.0, 0.5), 2),
        ([node(1, 4)], GroupShape(1, 1.0, 1.0), 1),
        ([node(8)], GroupShape(1, 1.0, 1.0), 0),
        ([node(1)], GroupShape(1, 0.1, 0.0), 10),
    ],
)
def test_fitting_workers(nodes, shape, count):
    assert fitting_workers(nodes, shape) == count
    assert packs(nodes, shape, count) and not packs(nodes, shape, count + 1)


@pytest.mark.parametrize(
    ("nodes", "section", "cpus"),
    [
        ([node(2)], {}, 2.0),
        ([node(2), node(2)], {}, 2.0),
        ([node(8), node(2)], {"cpus_per_worker": 1.0}, 4.0),
        ([node(16, 4)], {"cpus_per_worker": 3.0}, 3.0),
    ],
)
def test_the_base_is_made_on_one_machine(nodes, section, cpus):
    assert plan_resources(nodes, ResourcesSection(**section), 4, 10).base_cpus == cpus


@pytest.mark.parametrize(
    "errors, left", [([], 1), (["The current node timed out during startup."] * 2, 3), (["no disk"], 1)]
)
def test_a_busy_machine_gets_another_try(monkeypatch, tmp_path, errors, left):
    calls = []

    def init(**options):
        calls.append(options)
        if len(calls) <= len(errors):
            raise RuntimeError(errors[len(calls) - 1])

    monkeypatch.setattr(cluster.ray, "init", init)
    monkeypatch.setattr(cluster.ray, "shutdown", lambda: None)
    monkeypatch.setattr(cluster, "_own_instance", lambda folder: {})  # it sets variables for good
    if errors == ["no disk"]:
        with pytest.raises(RuntimeError, match="no disk"):
            cluster._start_own(tmp_path)
    else:
        cluster._start_own(tmp_path)
    assert len(calls) == left


def test_a_machine_that_is_always_too_busy_is_given_up(monkeypatch, tmp_path):
    def init(**options):
        raise RuntimeError("The current node timed out during startup.")

    monkeypatch.setattr(cluster.ray, "init", init)
    monkeypatch.setattr(cluster, "_own_instance", lambda folder: {})
    with pytest.raises(RuntimeError, match="timed out"):
        cluster._start_own(tmp_path)
