"""All who wait on one partition: producers, fetches, a follower's own fetcher, readers of a log that lies before them.

In: what has become committed, durable, appended, refused. Out: whoever that concerns is woken, in the order in which
they came. Decides nothing: what the high watermark is, and what is refused, the partition says.
"""

from __future__ import annotations

import asyncio
from collections import deque

from sprawl.partitions.waiting import Commit, FetchWait
from sprawl_protocol.errors import ApiError


class WaitingRoom:
    def __init__(self) -> None:
        self._commits: deque[Commit] = deque()
        self._writes: deque[Commit] = deque()
        """Of producers that asked for this replica only (acks=1)."""
        self._durable: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._established: list[asyncio.Future[None]] = []
        self._fetches: dict[FetchWait, None] = {}
        """In the order they came."""

    # -- coming -----------------------------------------------------------------------------------------------

    def for_commit(self, commit: Commit) -> None:
        """Until the high watermark has passed it."""
        self._commits.append(commit)

    def for_write(self, commit: Commit) -> None:
        """Until it is durable here."""
        self._writes.append(commit)

    def for_records(self, waiter: FetchWait) -> None:
        self._fetches[waiter] = None

    def leave(self, waiter: FetchWait) -> None:
        self._fetches.pop(waiter, None)

    async def until_durable(self, offset: int) -> None:
        """Returns when everything below is, or when one should look again."""
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._durable.append((offset, waiting))
        await waiting

    async def until_established(self) -> None:
        """Raises the `ApiError` with which all are refused."""
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._established.append(waiting)
        await waiting

    @property
    def fetches(self) -> int:
        return len(self._fetches)

    # -- going ------------------------------------------------------------------------------------------------

    def committed(self, high_watermark: int, *, established: bool) -> None:
        commits = self._commits
        while commits and commits[0].last_offset < high_watermark:
            commits.popleft().settle(None)
        if established and self._established:
            waiting, self._established = self._established, []
            for each in waiting:
                if not each.done():
                    each.set_result(None)
        for waiter in list(self._fetches):
            if waiter.committed:
                waiter.wake()

    def durable(self, durable_offset: int) -> None:
        while self._durable and self._durable[0][0] <= durable_offset:
            _wake(self._durable.popleft()[1])
        writes = self._writes
        while writes and writes[0].last_offset < durable_offset:
            writes.popleft().settle(None)

    def appended(self) -> None:
        for waiter in list(self._fetches):
            if waiter.appended:
                waiter.wake()

    def rejected(self, first_offset: int, reason: ApiError) -> None:
        """What was appended from `first_offset` on was taken back."""
        self._commits = _without_refused(self._commits, first_offset, reason)
        self._writes = _without_refused(self._writes, first_offset, reason)
        self.look_again()

    def look_again(self) -> None:
        """Those who wait for records to be durable that may be gone."""
        durable, self._durable = self._durable, deque()
        for _, future in durable:
            _wake(future)

    def refuse(self, reason: ApiError) -> None:
        """All who wait for this node to do what only a leader does."""
        refused = [*self._commits, *self._writes]
        self._commits.clear()
        self._writes.clear()
        for commit in refused:
            commit.settle(reason)
        established, self._established = self._established, []
        for each in established:
            if not each.done():
                each.set_exception(ApiError(reason.code, reason.message))

    def wake_fetches(self) -> None:
        for waiter in list(self._fetches):
            waiter.wake()


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _without_refused(waiting: deque[Commit], first_offset: int, reason: ApiError) -> deque[Commit]:
    kept: deque[Commit] = deque()
    for commit in waiting:
        if commit.last_offset < first_offset:
            kept.append(commit)
        else:
            commit.settle(reason)
    return kept
