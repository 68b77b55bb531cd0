"""Commands to the workers of a group, and their answers back."""

import asyncio
import time
from typing import Any


class Mailbox:
    """A small asyncio actor between one trial and its workers; both sides await, nobody polls.

    Every rank has its own queue of commands. A group whose worker died is never used again, so no answer can
    be taken for that of another command.
    """

    def __init__(self, workers: int) -> None:
        self._commands: list[asyncio.Queue[Any]] = [asyncio.Queue() for _ in range(workers)]
        self._answers: dict[int, Any] = {}
        self._complete = asyncio.Event()
        self._alive = time.monotonic()
        self._taken: set[int] = set()

    async def ask(self, command: Any) -> list[Any]:
        """Give a command to every rank and wait for all answers; the answers by rank.

        One call, because an asyncio actor does not promise to run two calls in the order they were made.
        """
        await self.beat()
        self._answers.clear()
        self._complete.clear()
        self._taken.clear()
        for queue in self._commands:
            queue.put_nowait(command)
        await self._complete.wait()
        return [self._answers[rank] for rank in sorted(self._answers)]

    async def beat(self) -> None:
        """Take note that a worker is alive and at work."""
        self._alive = time.monotonic()

    async def silence(self) -> float:
        """Seconds since any worker gave a sign of life; 0 as long as one of them is still to start."""
        started = len(self._taken) == len(self._commands)
        return time.monotonic() - self._alive if started else 0.0

    async def end(self) -> None:
        """Tell every rank to end."""
        for queue in self._commands:
            queue.put_nowait(None)

    async def next(self, rank: int) -> Any:
        """Wait for the next command of `rank`."""
        command = await self._commands[rank].get()
        self._taken.add(rank)
        await self.beat()
        return command

    async def answer(self, rank: int, answer: Any) -> None:
        """Deliver what `rank` has to say to the last command."""
        await self.beat()
        self._answers[rank] = answer
        if len(self._answers) == len(self._commands):
            self._complete.set()
