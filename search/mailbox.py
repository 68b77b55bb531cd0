"""Commands to the workers of a group, and their answers back."""

import asyncio
from typing import Any


class Mailbox:
    """A small asyncio actor between one trial and its workers; both sides await, nobody polls.

    Every rank has its own queue of commands, and an answer belongs to the command posted last, so that a
    worker that died cannot leave something for its successor.
    """

    def __init__(self, workers: int) -> None:
        self._commands: list[asyncio.Queue[Any]] = [asyncio.Queue() for _ in range(workers)]
        self._answers: dict[int, Any] = {}
        self._complete = asyncio.Event()

    async def post(self, command: Any) -> None:
        """Give a command to every rank; None ends them."""
        self._answers.clear()
        self._complete.clear()
        for queue in self._commands:
            await queue.put(command)

    async def next(self, rank: int) -> Any:
        """Wait for the next command of `rank`."""
        return await self._commands[rank].get()

    async def answer(self, rank: int, answer: Any) -> None:
        """Deliver what `rank` has to say to the last command."""
        self._answers[rank] = answer
        if len(self._answers) == len(self._commands):
            self._complete.set()

    async def answers(self) -> list[Any]:
        """Wait until every rank has answered; the answers by rank."""
        await self._complete.wait()
        return [self._answers[rank] for rank in sorted(self._answers)]
