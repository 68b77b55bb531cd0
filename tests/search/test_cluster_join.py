"""A search on a Ray cluster that is there already, and one that keeps to itself beside it."""

import os
import socket
import subprocess
import sys
import tempfile
import time

import pytest
from run_process import descendants, listening, matrices, read_records

RAY = [sys.executable, "-m", "ray.scripts.scripts"]
TOKEN = {"RAY_AUTH_MODE": "token"}  # what `ray start` asks for where a token lies in the home folder
LEFT = """
import sys, ray
ray.init(address=sys.argv[1], log_to_driver=False)
states = {group["state"] for group in ray.util.placement_group_table().values()}
print(ray.available_resources()["CPU"], sorted(states - {"REMOVED"}))
"""


def call(*command):
    environment = {**os.environ, **TOKEN}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Address of a one-node cluster in a folder of its own, with a token of its own."""
    TOKEN["RAY_AUTH_TOKEN"] = "a" * 64
    address = f"127.0.0.1:{free_port()}"
    with tempfile.TemporaryDirectory(prefix="c-") as folder:
        start = ["start", "--head", f"--port={address.split(':')[1]}", f"--temp-dir={folder}", "--num-cpus=2"]
        options = ["--include-dashboard=false", "--node-ip-address=127.0.0.1", "--disable-usage-stats"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        environment = {**os.environ, **TOKEN}
        process = subprocess.Popen([*RAY, *start, *options, "--block"], env=environment, **quiet)
        try:
            limit = time.time() + 90
            while call(*RAY, "status", "--address", address).returncode:
                assert process.poll() is None and time.time() < limit, "the cluster did not start"
            yield address
        finally:
            process.terminate()
            process.wait(60)


@pytest.mark.slow
def test_a_search_joins_a_cluster_and_leaves_it_clean(cluster, finished, space, start):
    run, run_dir = start(space, "--address", cluster, **TOKEN)
    assert run.finish() == 0, run.text
    assert matrices(run_dir) == matrices(finished[0])
    left = call(sys.executable, "-c", LEFT, cluster)
    assert left.stdout.split("\n")[0] == "2.0 []", left


@pytest.mark.slow
def test_a_cluster_that_wants_a_token_says_so(cluster, space, start):
    run, run_dir = start(space, "--address", cluster, RAY_AUTH_MODE="disabled")
    assert run.finish(120) == 2
    assert "token" in run.text and run.text.count("\n") == 1 and not run_dir.exists()


@pytest.mark.slow
def test_a_search_of_its_own_listens_on_loopback_only_beside_another_ray(cluster, space, start):
    run, run_dir = start(space)
    run.wait_for(r"trial +0 epoch 1/", 300)
    assert listening(pid for pid, _ in descendants(run.process.pid)) == {"0100007F"}
    assert run.finish() == 0, run.text
    assert [record["state"] for record in read_records(run_dir)] == ["completed", "completed"]
    assert call(*RAY, "status", "--address", cluster).returncode == 0, "the other Ray was ended"
