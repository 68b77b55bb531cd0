"""How many worker groups fit on the machines that are there, now that nodes may join and leave."""

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import ray
from ray._private.state import available_resources_per_node

Resources = Mapping[str, float]  # `CPU`, `GPU`, ... of one node
ASK_S = 3.0  # how old the answer to what is there may be
POLL_S = 0.5  # how often somebody who waits for room looks again


@dataclass(frozen=True)
class GroupShape:
    """What one group occupies.

    Attributes:
        workers: Number of workers.
        cpus: CPUs reserved per worker.
        gpus: GPUs reserved per worker.
    """

    workers: int
    cpus: float
    gpus: float


def fitting_workers(nodes: Sequence[Resources], shape: GroupShape) -> int:
    """Count the workers that fit on the nodes; a worker never spans two of them."""
    return sum(
        int(
            min(
                node.get("CPU", 0.0) / shape.cpus if shape.cpus else math.inf,
                node.get("GPU", 0.0) / shape.gpus if shape.gpus else math.inf,
            )
        )
        for node in nodes
    )


def living_nodes() -> list[dict[str, float]]:
    """Return the resources of every living node, in use or not."""
    return [dict(node["Resources"]) for node in ray.nodes() if node["Alive"]]


def wait_for_room(shape: GroupShape, given_up: threading.Event, limit_s: float) -> bool:
    """Wait until a group finds its resources unused, as long as the nodes that are alive have them at all.

    Ray Train would give up after minutes; where a node was lost, room comes with the end of another trial.

    Args:
        shape: Of the group.
        given_up: Ends the waiting.
        limit_s: How long to wait for nodes that are away.

    Returns:
        Whether there is room; False if it was given up.

    Raises:
        TimeoutError: If for `limit_s` seconds all living nodes together had too little.
    """
    enough = time.monotonic()
    while fitting_workers(list(available_resources_per_node().values()), shape) < shape.workers:
        if fitting_workers(living_nodes(), shape) >= shape.workers:
            enough = time.monotonic()
        if time.monotonic() - enough > limit_s:
            raise TimeoutError(
                f"no node with room for {shape.workers} workers has joined for {limit_s:.0f} s"
            )
        if given_up.wait(POLL_S):
            return False
    return True


class Capacity:
    """Called, tells how many useful groups fit on the nodes that are alive."""

    def __init__(
        self,
        shape: GroupShape,
        groups: int,
        most: int,
        changed: Callable[[int, int], None],
        nodes: Callable[[], Sequence[Resources]] = living_nodes,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask nothing yet.

        Args:
            shape: Of a group.
            groups: How many fit as far as is known.
            most: How many are of use.
            changed: Told the number of nodes and how many groups fit, whenever that is not as before.
            nodes: Resources of the living nodes; asked at most every `ASK_S` seconds.
            clock: In seconds.
        """
        self._shape, self._groups, self._most, self._changed = shape, groups, most, changed
        self._nodes, self._clock, self._asked = nodes, clock, clock()

    def __call__(self) -> int:
        """Return the number of groups that fit; 0 while every useful node is away."""
        if self._clock() - self._asked >= ASK_S:
            nodes, before = self._nodes(), self._groups
            fitting = fitting_workers(nodes, self._shape) // self._shape.workers
            self._asked, self._groups = self._clock(), min(self._most, fitting)
            if self._groups != before:
                self._changed(len(nodes), self._groups)
        return self._groups
