"""Requests share a budget of memory: who needs more than is left waits, in the order of arrival."""

from __future__ import annotations

import asyncio

from pipeline.serve.uploads.memory_budget import MemoryBudget


async def use(budget, log, name, size):
    async with budget.reserve(size):
        log.append(name)
        await asyncio.sleep(0)


def test_a_large_request_is_not_overtaken():
    async def play():
        budget, log = MemoryBudget(10), []
        async with budget.reserve(6):
            waiting = [asyncio.create_task(use(budget, log, *each)) for each in (("large", 8), ("small", 1))]
            await asyncio.sleep(0.01)
            assert log == []
        await asyncio.gather(*waiting)
        return log

    assert asyncio.run(play()) == ["large", "small"]


def test_what_a_cancelled_request_held_is_free_again():
    async def play():
        budget, log = MemoryBudget(10), []
        async with budget.reserve(10):
            waiting = asyncio.create_task(use(budget, log, "gone", 10))
            await asyncio.sleep(0.01)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        await asyncio.wait_for(use(budget, log, "next", 10), 5)
        return log

    assert asyncio.run(play()) == ["next"]
