"""A Ray cluster of real nodes on one machine: `ray start` processes, each in a network of its own."""

import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from run_process import descendants

RAY = [sys.executable, "-m", "ray.scripts.scripts"]
START_S = 120


def ip(*arguments):
    return subprocess.run(["ip", *map(str, arguments)], capture_output=True, text=True, timeout=30)


@dataclass(frozen=True)
class RayNode:
    """A `ray start` process and its address."""

    process: subprocess.Popen
    address: str
    folder: tempfile.TemporaryDirectory

    def is_up(self):
        """Wait until it has started; whether it has."""
        log, limit = Path(self.folder.name) / "start.log", time.time() + START_S
        while self.process.poll() is None and time.time() < limit:
            if "Ray runtime started" in log.read_text():
                return True
            time.sleep(0.5)
        print(log.read_text())
        return False

    def workers(self):
        """Processes of the Ray Train workers on it."""
        return [pid for pid, command in descendants(self.process.pid) if "RayTrainWorker" in command]

    def kill(self):
        """End all of it at once, as a power cut does."""
        processes = [self.process.pid, *(pid for pid, _ in descendants(self.process.pid))]
        for pid in processes:
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                continue
        self.process.wait(30)
        self.folder.cleanup()


class RayNodes:
    """A head that has the search's own address, and nodes that come and go; all end with `close`.

    Args:
        mode: `token` or `disabled`, Ray's authentication.
    """

    def __init__(self, mode="token"):
        self.name = f"g{os.getpid() % 10000}-{secrets.token_hex(2)}"
        self.subnet = f"10.{100 + secrets.randbelow(100)}.{secrets.randbelow(256)}"
        self.token = {"RAY_AUTH_MODE": mode} | ({"RAY_AUTH_TOKEN": "b" * 64} if mode == "token" else {})
        self.nodes, self._spaces = [], []
        self._make_bridge()
        self.address = f"{self.subnet}.1:{_free_port()}"

    def _make_bridge(self):
        made = ip("link", "add", self.name, "type", "bridge")
        if made.returncode:
            pytest.skip(f"no right to make networks on this machine: {made.stderr.strip()}")
        assert not ip("addr", "add", f"{self.subnet}.1/24", "dev", self.name).returncode
        assert not ip("link", "set", self.name, "up").returncode

    def start_head(self, cpus=0):
        port = self.address.partition(":")[2]
        return self._start([], f"{self.subnet}.1", "--head", f"--port={port}", f"--num-cpus={cpus}")

    def add(self, cpus=1, hide=(), **variables):
        """Start a node that joins.

        Args:
            cpus: How many it says it has.
            hide: Pairs of a folder and what the node sees in its place; None: an empty folder.
            variables: Of its environment.
        """
        number = len(self._spaces) + 2
        space = f"{self.name}-{number}"
        self._make_space(space, number)
        mounts = " && ".join(
            [
                f"mount --bind {other} {folder}" if other else f"mount -t tmpfs none {folder}"
                for folder, other in hide
            ]
            + ['exec "$@"']
        )
        before = ["ip", "netns", "exec", space, "sh", "-c", mounts, "sh"]
        options = (f"--address={self.address}", f"--num-cpus={cpus}")
        return self._start(before, f"{self.subnet}.{number}", *options, **variables)

    def _make_space(self, space, number):
        outside = f"v{number}-{self.name[-4:]}"
        self._spaces.append(space)
        for command in (
            ["netns", "add", space],
            ["link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", space],
            ["link", "set", outside, "master", self.name, "up"],
            ["-n", space, "addr", "add", f"{self.subnet}.{number}/24", "dev", "eth0"],
            ["-n", space, "link", "set", "eth0", "up"],
            ["-n", space, "link", "set", "lo", "up"],
        ):
            done = ip(*command)
            assert not done.returncode, done.stderr

    def _start(self, before, address, *options, **variables):
        command = [*before, *RAY, "start", "--block", *options, f"--node-ip-address={address}"]
        command += ["--disable-usage-stats", "--object-store-memory=100000000"]
        command += ["--include-dashboard=false"] if "--head" in options else []
        for _ in range(3):  # Ray gives itself 30 s, whatever else the machine does
            node = self._try_to_start(command, address, variables)
            if node.is_up():
                return node
            node.kill()
        raise AssertionError(f"{address} did not start")

    def _try_to_start(self, command, address, variables):
        folder = tempfile.TemporaryDirectory(prefix="n-", ignore_cleanup_errors=True)
        process = subprocess.Popen(
            [*command, f"--temp-dir={folder.name}"],
            cwd="/",
            env={**self.environment(), **variables},
            stdout=(Path(folder.name) / "start.log").open("w"),
            stderr=subprocess.STDOUT,
        )
        node = RayNode(process, address, folder)
        self.nodes.append(node)
        return node

    def environment(self):
        """That of whoever belongs to the cluster."""
        return {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | self.token

    def close(self):
        for node in reversed(self.nodes):
            if node.process.poll() is None:
                node.kill()
        for space in self._spaces:
            ip("netns", "del", space)
        ip("link", "del", self.name)


def _free_port():
    with socket.socket() as listener:
        listener.bind(("", 0))
        return listener.getsockname()[1]
