"""A plain TCP proxy that spreads connections over several addresses, in turn: what a load balancer is to a client.

It looks at nothing that passes. An address that refuses is passed over; a connection that breaks on one side is closed
on the other.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

_PIECE = 65_536


class Proxy:
    """A context manager: it runs in a thread of its own. `targets` may be set until the first client comes."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.targets: Sequence[tuple[str, int]] = ()
        self.carried: Counter[tuple[str, int]] = Counter()
        """How many connections each address got."""
        self._host = host
        self._turn = itertools.count()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy")

    def __enter__(self) -> Self:
        self._thread.start()
        starting = asyncio.start_server(self._carry, self._host, 0, backlog=200)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result(10)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def address(self) -> str:
        return f"{self._host}:{self.port}"

    async def _end(self) -> None:
        self._server.close()
        carrying = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in carrying:
            task.cancel()
        await asyncio.gather(*carrying, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await self._connect()
            if there is not None:
                await _join((reader, writer), there)
        except asyncio.CancelledError:
            pass  # the proxy ends
        finally:
            writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        first = next(self._turn)
        for step in range(len(self.targets)):
            target = self.targets[(first + step) % len(self.targets)]
            with suppress(OSError):
                streams = await asyncio.open_connection(*target)
                self.carried[target] += 1
                return streams
        return None


async def _join(
    one: tuple[asyncio.StreamReader, asyncio.StreamWriter], other: tuple[asyncio.StreamReader, asyncio.StreamWriter]
) -> None:
    """Until either side ends."""
    ways = [asyncio.create_task(_pour(one[0], other[1])), asyncio.create_task(_pour(other[0], one[1]))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        other[1].close()


async def _pour(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await source.read(_PIECE):
            sink.write(piece)
            await sink.drain()
