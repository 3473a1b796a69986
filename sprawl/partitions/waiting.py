"""Those who wait on a partition: producers for a commit, fetches for records. Nobody waits on a timer alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Protocol

from sprawl_protocol.errors import ApiError


class Waitable(Protocol):
    def wait_for_records(self, waiter: FetchWait) -> None: ...

    def stop_waiting(self, waiter: FetchWait) -> None: ...


class Commit:
    """The promise that records will be committed, or refused. Settled once, by the partition.

    A callback and not a future: what waits is run at once, not a turn of the event loop later, which for a producer of
    single records is a good part of the time an answer takes.
    """

    __slots__ = ("_waiting", "error", "last_offset", "settled")

    def __init__(self, last_offset: int) -> None:
        self.last_offset = last_offset
        self.settled = False
        self.error: ApiError | None = None
        self._waiting: Callable[[], None] | None = None

    def settle(self, error: ApiError | None) -> None:
        assert not self.settled, "a commit is settled once"
        self.settled = True
        self.error = error
        waiting, self._waiting = self._waiting, None  # no cycle must be left for the garbage collector
        if waiting is not None:
            waiting()

    def when_settled(self, callback: Callable[[], None]) -> None:
        """One callback, called at once if it is settled already."""
        if self.settled:
            callback()
        else:
            self._waiting = callback

    async def wait(self) -> None:
        """Raises the `ApiError` it was refused with."""
        if not self.settled:
            waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.when_settled(lambda: None if waiting.done() else waiting.set_result(None))
            await waiting
        if self.error is not None:
            raise ApiError(self.error.code, self.error.message)


class Appended:
    """Where records went, and when they are committed."""

    __slots__ = ("base_offset", "commit", "log_append_time_ms", "log_start_offset")

    def __init__(self, base_offset: int, log_append_time_ms: int, log_start_offset: int, commit: Commit) -> None:
        self.base_offset = base_offset
        self.log_append_time_ms = log_append_time_ms
        self.log_start_offset = log_start_offset
        self.commit = commit


class FetchWait:
    """A fetch that waits for any of its partitions to have more: more that is committed, or appended, or both.

    Entered before the partitions are read, so that records that come in between the read and the wait are not missed:

        with FetchWait(partitions) as more:
            ...read, and be done if it is enough...
            await more.within(seconds)
    """

    __slots__ = ("_future", "_partitions", "appended", "committed")

    def __init__(self, partitions: Collection[Waitable], *, committed: bool = True, appended: bool = False) -> None:
        self.committed = committed
        self.appended = appended
        self._future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._partitions = partitions

    def __enter__(self) -> FetchWait:
        for partition in self._partitions:
            partition.wait_for_records(self)
        return self

    def __exit__(self, *exc: object) -> None:
        for partition in self._partitions:
            partition.stop_waiting(self)

    def wake(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    async def within(self, seconds: float) -> bool:
        """True once woken, False after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._future
        except TimeoutError:
            return False
        return True
