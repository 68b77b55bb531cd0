"""Work ahead in processes or threads: results in order, and never more under way than asked for."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

AHEAD = 4  # batches under way per process: enough that none waits, few enough that memory stays bounded

T = TypeVar("T")
R = TypeVar("R")
MapAhead = Callable[[Callable[..., Any], Iterable[tuple[Any, ...]]], Iterator[Any]]


@contextmanager
def processes(workers: int) -> Iterator[MapAhead]:
    """Give a lazy map over calls' arguments that works in `workers` processes, or in this one if 0.

    Processes, not threads: decoders release the interpreter's lock, but what surrounds them does not, and a
    decoder that crashes does not take this process with it. They start when the first call is made.

    Raises:
        ValueError: If `workers` is negative.
        RuntimeError: From the map, if a process dies; the message says on what.
    """
    if workers < 0:
        raise ValueError(f"workers is {workers}; it must be 0 (no processes) or more")
    if not workers:
        yield lambda function, calls: (function(*call) for call in calls)
        return
    # Spawned: a fork would copy the threads and locks of whatever the caller has loaded.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_follow_parent)
    try:
        yield lambda function, calls: _map(pool, workers * AHEAD, function, calls)
    finally:
        pool.shutdown(cancel_futures=True)


def map_in_threads(
    function: Callable[[T], R], items: Iterable[T], threads: int, ahead: int
) -> Generator[tuple[T, R], None, None]:
    """Map lazily in threads, for work that lets go of the interpreter: each item with its result, in order.

    Args:
        function: Called in the threads; what it raises is raised at its item.
        items: Read no further than `ahead` beyond the result that is asked for.
        threads: How many.
        ahead: Items that are worked on, or done, before they are asked for.
    """
    pending: deque[tuple[T, Future[R]]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for item in items:
            pending.append((item, pool.submit(function, item)))
            if len(pending) > ahead:
                first, result = pending.popleft()
                yield first, result.result()
        for first, result in pending:
            yield first, result.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _map(
    pool: ProcessPoolExecutor,
    room: int,
    function: Callable[..., Any],
    calls: Iterable[tuple[Any, ...]],
) -> Iterator[Any]:
    pending: deque[tuple[tuple[Any, ...], Future[Any]]] = deque()
    for call in calls:
        pending.append((call, _submit(pool, function, call)))
        if len(pending) >= room:
            yield _result(*pending.popleft())
    while pending:
        yield _result(*pending.popleft())


def _submit(pool: ProcessPoolExecutor, function: Callable[..., Any], call: tuple[Any, ...]) -> Future[Any]:
    try:
        return pool.submit(function, *call)
    except BrokenProcessPool as error:
        broken: Future[Any] = Future()
        broken.set_exception(error)
        return broken


def _result(call: tuple[Any, ...], future: Future[Any]) -> Any:
    try:
        return future.result()
    except BrokenProcessPool as error:
        names = [str(argument) for argument in call]
        shown = ", ".join(name if len(name) < 500 else f"{name[:500]}…" for name in names)
        raise RuntimeError(
            f"a worker process died at or soon after: {shown}; if memory ran out, use fewer workers"
        ) from error


def _follow_parent() -> None:
    """End with the parent even if it is killed; leave Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None  # this is a worker process

    def wait_and_end() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait_and_end, daemon=True).start()
