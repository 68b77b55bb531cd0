"""The files that start clusters: valid for the tools that read them, and their commands as well."""

import os
import re
import shlex
import signal
import subprocess
import time
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.scripts.scripts import start
from run_process import REPOSITORY

from search.run import parse_arguments

CLUSTERS = REPOSITORY / "search" / "clusters"
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
RAY = next(r for r in map(Requirement, PROJECT["dependencies"]) if r.name == "ray")


def ray_start(words):
    """Parse a call of `ray start` as Ray does; its options."""
    place = next(i for i, word in enumerate(words) if word.endswith("ray") and words[i + 1] == "start")
    options = [os.path.expandvars(word) for word in words[place + 2 :]]
    return start.make_context("start", options).params


def search_options(words):
    """Parse a call of the search as it does itself."""
    place = next(i for i, w in enumerate(words) if w.endswith("search/run.py") or w == "genimage-search")
    return parse_arguments(words[place + 1 :])


def commented(path):
    """Commands in the head of a file, continued lines put together."""
    lines = [line.removeprefix("#").strip() for line in path.read_text().splitlines() if line.startswith("#")]
    return " ".join(lines).replace("\\ ", "")


# ssh.yaml


@pytest.fixture(scope="module")
def ssh():
    return yaml.safe_load((CLUSTERS / "ssh.yaml").read_text())


def test_ray_takes_the_ssh_cluster_as_it_is(ssh):
    filled = prepare_config(ssh)
    validate_config(filled)
    [node_type] = filled["available_node_types"].values()
    assert node_type["min_workers"] == len(ssh["provider"]["worker_ips"]), "every machine is started"


def test_rays_validator_refuses_a_wrong_key(ssh):
    with pytest.raises(Exception, match="head_start_commands"):
        validate_config(prepare_config({**ssh, "head_start_commands": []}))


def test_machines_of_the_ssh_cluster_start_ray_with_a_token(ssh, monkeypatch):
    monkeypatch.setenv("RAY_HEAD_IP", "192.168.1.10")
    calls = [ssh[f"{role}_start_ray_commands"][-1] for role in ("head", "worker")]
    head, worker = (ray_start(shlex.split(call)) for call in calls)
    assert head["head"] and not worker["head"]
    assert worker["address"] == f"192.168.1.10:{head['port']}"
    assert head["dashboard_host"] == "127.0.0.1"
    assert all("RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=/shared/ray_token" in call for call in calls)


def test_the_walk_through_over_ssh_calls_the_search_as_it_wants_to_be_called():
    head = commented(CLUSTERS / "ssh.yaml")
    command = re.search(r'ray exec \S+ "([^"]+)"', head)[1]
    options = search_options(shlex.split(command))
    assert options.address == "auto" and str(options.out).startswith("/shared/")
    assert "RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=/shared/ray_token" in command


# kuberay.yaml


@pytest.fixture(scope="module")
def manifests():
    return list(yaml.safe_load_all((CLUSTERS / "kuberay.yaml").read_text()))


def test_the_ray_job_calls_the_search_as_it_wants_to_be_called(manifests):
    _, job = manifests
    assert "genimage-search" in PROJECT["scripts"]
    options = search_options(shlex.split(job["spec"]["entrypoint"]))
    assert options.address == "auto" and job["spec"]["backoffLimit"] == 0


def test_the_ray_job_has_the_versions_that_the_project_wants(manifests):
    cluster = manifests[1]["spec"]["rayClusterSpec"]
    image = re.search(r"FROM rayproject/ray:([\d.]+)-py(\d)(\d+)", commented(CLUSTERS / "kuberay.yaml"))
    assert image[1] == cluster["rayVersion"] and cluster["rayVersion"] in RAY.specifier
    assert f"{image[2]}.{image[3]}" in SpecifierSet(PROJECT["requires-python"])


def test_every_pod_shares_one_volume_and_all_have_a_token(manifests):
    volume, job = manifests
    cluster = job["spec"]["rayClusterSpec"]
    assert volume["spec"]["accessModes"] == ["ReadWriteMany"]
    assert cluster["authOptions"] == {"mode": "token"}
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        pod = group["template"]["spec"]
        [claim], [container] = pod["volumes"], pod["containers"]
        assert claim["persistentVolumeClaim"]["claimName"] == volume["metadata"]["name"]
        assert container["volumeMounts"] == [{"name": claim["name"], "mountPath": "/shared"}]
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
    assert len({group["template"]["spec"]["containers"][0]["image"] for group in groups}) == 1


# slurm.sh

FAKES = {
    "scontrol": 'printf "node%s\\n" $(seq "$NODES")',
    "hostname": "echo '10.0.0.7 172.17.0.1 '",
    "srun": """
printf 'srun %s\\n' "$*" >> "$LOG"
echo "token $RAY_AUTH_MODE ${#RAY_AUTH_TOKEN}" >> "$LOG"
exec sleep 60
""",
    ".venv/bin/ray": 'for i in $(seq "$THERE"); do echo " 1 node_$i"; done',
    ".venv/bin/python": """
echo "python $*" >> "$LOG"
trap 'echo told to end >> "$LOG"; exit 130' TERM
for i in $(seq "$LONG"); do sleep 0.1; done
exit "$CODE"
""",
}


@pytest.fixture
def allocation(tmp_path):
    """Starts the script in an allocation of fake nodes; the process, and the log of what it called."""
    (tmp_path / "bin").mkdir()
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for name, body in FAKES.items():
        path = tmp_path / name if "/" in name else tmp_path / "bin" / name
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(0o755)
    log = tmp_path / "log"

    def begin(*options, nodes=3, there=None, code=0, long=1, **variables):
        environment = {
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
            "LOG": str(log),
            "NODES": str(nodes),
            "THERE": str(nodes if there is None else there),
            "CODE": str(code),
            "LONG": str(long),
            "SLURM_JOB_NODELIST": "node[1-3]",
            "SLURM_JOB_ID": "4711",
            "SLURM_CPUS_PER_TASK": "8",
            "SLURM_GPUS_ON_NODE": "2",
            **variables,
        }
        command = ["bash", str(CLUSTERS / "slurm.sh"), *options]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(command, cwd=tmp_path, env=environment, **pipes), log

    return begin


def sruns(log):
    return [shlex.split(line) for line in log.read_text().splitlines() if line.startswith("srun ")]


def test_the_slurm_script_is_bash():
    subprocess.run(["bash", "-n", CLUSTERS / "slurm.sh"], check=True)


def test_slurm_starts_a_head_on_the_first_node_and_ray_on_all_others(allocation):
    script, log = allocation("--space", "s.yaml", "--out", "/shared/a run")
    said, _ = script.communicate(timeout=60)
    assert script.returncode == 0, said
    assert "3 of 3 nodes have joined Ray at 10.0.0.7:24711" in said
    head, others = sruns(log)
    assert {"--nodelist=node1", "--nodes=1", "--overlap"} <= set(head)
    assert {"--exclude=node1", "--nodes=2", "--ntasks=2", "--no-kill", "--overlap"} <= set(others)
    first, second = ray_start(head), ray_start(others)
    assert first["head"] and first["node_ip_address"] == "10.0.0.7" and first["port"] == 24711
    assert second["address"] == "10.0.0.7:24711" and not second["head"]
    for options in (first, second):
        assert (options["num_cpus"], options["num_gpus"], options["block"]) == (8, 2, True)
    assert log.read_text().count("token token 64") == 2, "every node gets the token"
    assert (
        "python search/run.py --space s.yaml --out /shared/a run --address 10.0.0.7:24711" in log.read_text()
    )


def test_slurm_on_one_node_starts_a_head_alone(allocation):
    script, log = allocation(nodes=1)
    assert script.wait(60) == 0
    assert len(sruns(log)) == 1


def test_slurm_goes_on_without_a_node_that_does_not_join(allocation):
    script, _ = allocation(nodes=3, there=2, JOIN_S="3")
    assert "2 of 3 nodes have joined" in script.communicate(timeout=60)[0]
    assert script.returncode == 0


@pytest.mark.parametrize("code", [1, 2, 130])
def test_slurm_passes_the_exit_code_on(allocation, code):
    script, _ = allocation(code=code)
    script.communicate(timeout=60)
    assert script.returncode == code


def test_slurm_lets_the_search_report_before_the_time_is_up(allocation):
    script, log = allocation(long=300)
    limit = time.time() + 30
    while "python " not in (log.read_text() if log.exists() else ""):
        assert time.time() < limit
        time.sleep(0.1)
    time.sleep(0.5)
    script.send_signal(signal.SIGTERM)
    script.communicate(timeout=30)
    assert script.returncode == 130 and "told to end" in log.read_text()


def test_slurm_leaves_nothing_running(allocation):
    script, _ = allocation()
    script.communicate(timeout=60)
    environments = [
        path for path in Path("/proc").glob("[0-9]*/environ") if _reads(path, b"SLURM_JOB_ID=4711")
    ]
    assert not environments


def _reads(path, text):
    try:
        return text in path.read_bytes()
    except OSError:
        return False


def test_the_walk_through_of_slurm_calls_the_search_as_it_wants_to_be_called():
    command = re.search(
        r"sbatch --nodes=4 search/clusters/slurm.sh (--space .*?/runs/fft)\b",
        commented(CLUSTERS / "slurm.sh"),
    )
    options = parse_arguments([*shlex.split(command[1]), "--address", "10.0.0.7:24711"])
    assert str(options.out).startswith("/shared/")
