import asyncio

import pytest

from search.mailbox import Mailbox


def run(conversation):
    async def within_seconds():
        return await asyncio.wait_for(conversation(), timeout=5)

    return asyncio.run(within_seconds())


async def serve(box, rank, answered, delay=0.0):
    """A worker: answers every command until told to end."""
    while (command := await box.next(rank)) is not None:
        await asyncio.sleep(delay)
        answered.append((rank, command))
        await box.answer(rank, f"{rank} did {command}")


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_rank_gets_every_command_and_answers_come_by_rank(workers):
    async def conversation():
        box, answered = Mailbox(workers), []
        # The first rank is the slowest, so that answers arrive in another order.
        tasks = [
            asyncio.create_task(serve(box, rank, answered, 0.01 * (workers - rank)))
            for rank in range(workers)
        ]
        for command in ("load", "epoch", "epoch"):
            assert await box.ask(command) == [f"{rank} did {command}" for rank in range(workers)]
        await box.end()
        await asyncio.gather(*tasks)
        assert sorted(answered) == sorted(
            (rank, command) for rank in range(workers) for command in ("load", "epoch", "epoch")
        )

    run(conversation)


def test_a_command_waits_for_workers_that_start_later():
    async def conversation():
        box = Mailbox(2)
        asked = asyncio.create_task(box.ask("load"))
        await asyncio.sleep(0.01)
        assert not asked.done()
        assert await box.next(0) == "load"
        await box.answer(0, "ready")
        await asyncio.sleep(0.01)
        assert not asked.done(), "it must wait for every rank"
        assert await box.next(1) == "load"
        await box.answer(1, "too")
        assert await asked == ["ready", "too"]

    run(conversation)


def test_none_is_an_answer():
    async def conversation():
        box = Mailbox(2)
        tasks = [asyncio.create_task(quiet(box, rank)) for rank in range(2)]
        assert await box.ask("save") == [None, None]
        await asyncio.gather(*tasks)

    async def quiet(box, rank):
        await box.next(rank)
        await box.answer(rank, None)

    run(conversation)


def test_ending_wakes_workers_that_wait():
    async def conversation():
        box, answered = Mailbox(3), []
        tasks = [asyncio.create_task(serve(box, rank, answered)) for rank in range(3)]
        await asyncio.sleep(0.01)
        await box.end()
        await asyncio.gather(*tasks)
        assert answered == []

    run(conversation)


def test_silence_counts_from_the_last_sign_of_life_of_workers_that_have_all_started(monkeypatch):
    now = 100.0
    monkeypatch.setattr("search.mailbox.time.monotonic", lambda: now)

    async def conversation():
        nonlocal now
        box = Mailbox(2)
        asked = asyncio.create_task(box.ask("epoch"))
        await asyncio.sleep(0)
        await box.next(0)
        now += 60
        assert await box.silence() == 0, "the other worker is still starting"
        await box.next(1)
        now += 5
        assert await box.silence() == 5
        await box.beat()
        now += 7
        assert await box.silence() == 7
        await box.answer(0, "done")
        assert await box.silence() == 0
        await box.answer(1, "done")
        assert await asked == ["done", "done"]

    run(conversation)
