"""A budget of memory that requests share: who needs more than is left waits for its turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class MemoryBudget:
    """Bytes that may be in use at once, by all requests together. Use it in one event loop."""

    def __init__(self, total: int) -> None:
        """Set the budget in bytes."""
        self.total = total
        self._used = 0
        self._turn = asyncio.Lock()
        self._released = asyncio.Condition()

    @asynccontextmanager
    async def reserve(self, size: int) -> AsyncIterator[None]:
        """Hold so many bytes, after a wait in the order of arrival.

        Args:
            size: Bytes; at most `total`.
        """
        async with self._turn, self._released:
            await self._released.wait_for(lambda: self._used + size <= self.total)
            self._used += size
        try:
            yield
        finally:
            self._used -= size
            async with self._released:
                self._released.notify_all()
