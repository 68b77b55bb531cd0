"""A search over several real nodes: what is checked before it starts, and nodes that go and come."""

import subprocess
import sys
import time

import pytest
from ray_nodes import RayNodes
from run_process import REPOSITORY, read_records, study_of

pytestmark = pytest.mark.slow
PACKAGES = ("genimage_core", "reports", "search")
OTHER_RAY = """
from search.run import main
import ray
ray.__version__ = "0.1"
raise SystemExit(main())
"""


@pytest.fixture(scope="module")
def old_code(tmp_path_factory):
    """Packages of the names of ours that cannot be imported, for a node to have where ours lie here."""
    old = tmp_path_factory.mktemp("old")
    for name in PACKAGES:
        (old / name).mkdir()
        (old / name / "__init__.py").write_text("raise RuntimeError('an old checkout')")
    return [(REPOSITORY / name, old / name) for name in PACKAGES]


@pytest.fixture(scope="module")
def cluster(request, old_code):
    """A head without cores of its own, and a node whose code is old; tests add others."""
    nodes = RayNodes()
    request.addfinalizer(nodes.close)
    nodes.start_head()
    nodes.add(hide=old_code)
    return nodes


@pytest.fixture
def old_timm(tmp_path_factory):
    """A folder for PYTHONPATH in which another timm is said to be installed."""
    packages = tmp_path_factory.mktemp("packages")
    (packages / "timm-0.0.1.dist-info").mkdir()
    (packages / "timm-0.0.1.dist-info" / "METADATA").write_text("Name: timm\nVersion: 0.0.1\n")
    return packages


def refused(run, cluster):
    """The lines that a search says when it refuses the cluster."""
    assert run.finish(180) == 2, run.text
    first, *lines = run.text.splitlines()
    assert first == f"error: the cluster at {cluster.address} cannot run this search:"
    return lines


def test_what_is_wrong_on_a_node_is_said_before_anything_is_written(
    cluster, space, start, old_timm, tmp_path
):
    node = cluster.add(hide=[(tmp_path, None)], PYTHONPATH=str(old_timm))
    asked = {**space, "resources": {"gpus_per_worker": 2.0}}
    run, run_dir = start(asked, "--address", cluster.address, **cluster.token)
    gpus, timm, folder = refused(run, cluster)
    node.kill()
    assert "gpus_per_worker is 2" in gpus and f"{node.address} (" in gpus
    assert f"{node.address} (" in timm and "timm is 0.0.1 there" in timm
    assert f"{node.address} (" in folder and "the run directory (--out) is not shared" in folder
    assert [path.name for path in tmp_path.iterdir()] == [f"{run_dir.name}.yaml"]


def test_a_node_without_the_images_is_named(cluster, space, start, data_root, tmp_path):
    node = cluster.add(hide=[(data_root, None)])
    run, _ = start(space, "--address", cluster.address, **cluster.token)
    lines = refused(run, cluster)
    node.kill()
    assert len(lines) == 4  # two generators, two splits
    for line in lines:
        assert f"{node.address} (" in line and f"under {data_root} are not those that are here" in line


def test_another_ray_is_told_in_one_line(cluster, tmp_path):
    space = REPOSITORY / "spaces" / "fft.yaml"
    options = ["--space", space, "--address", cluster.address, "--out", tmp_path / "run", "--data", "mini"]
    done = subprocess.run(
        [sys.executable, "-c", OTHER_RAY, *map(str, options)],
        env={**cluster.environment(), "GENIMAGE_CACHE": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1 and "Version mismatch" in done.stderr and "0.1" in done.stderr


def test_a_search_goes_on_over_nodes_that_leave_and_join(cluster, old_code, space, start):
    second = cluster.add(hide=old_code)
    longer = {
        **space,
        "training": {**space["training"], "epochs": 30},
        "search": {**space["search"], "trials": 4},
        "resources": {"workers_per_trial": 1},
    }
    run, run_dir = start(longer, "--address", cluster.address, **cluster.token)
    for number in (0, 1):
        run.wait_for(rf"trial +{number} epoch 2/", 300)
    assert second.workers()
    second.kill()
    run.wait_for("there are 2 now: room for 1 trials", 120)
    third = cluster.add(hide=old_code)
    run.wait_for("there are 3 now: room for 2 trials", 120)
    wait_until(third.workers, 120)
    assert run.finish(900) == 0, run.text
    records = read_records(run_dir)
    assert [(record["number"], record["state"]) for record in records] == [(n, "completed") for n in range(4)]
    assert sum(record["retries"] for record in records) >= 1
    for record in records:
        assert [epoch["epoch"] for epoch in record["epochs"]] == list(range(1, 31))
    assert [trial.state.name for trial in study_of(run_dir).trials] == ["COMPLETE"] * 4
    third.kill()


def wait_until(true, seconds):
    limit = time.time() + seconds
    while not true():
        assert time.time() < limit
        time.sleep(0.5)


def test_a_cluster_that_obeys_anyone_is_refused(request, space, start):
    nodes = RayNodes(mode="disabled")
    request.addfinalizer(nodes.close)
    nodes.start_head()
    run, _ = start(space, "--address", nodes.address, **nodes.token)
    [line] = refused(run, nodes)
    assert f"obeys everyone who can reach {nodes.address}" in line and "RAY_AUTH_MODE=token" in line
