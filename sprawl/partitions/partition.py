"""One partition as its leader sees it: the log, the high watermark, and who waits for either.

The rules of the room:

- The high watermark is the least durable offset over the in-sync replicas, never goes back within a leader epoch,
  and is the only thing that lets an `acks=all` producer be answered or a consumer read.
- What "durable" means on a replica is its log's business (`sprawl.durability`).
- Nobody waits on a timer: producers and fetches are woken by the log, through `_log_advanced`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from uuid import UUID

from sprawl.config.topics import TopicConfig
from sprawl.storage.log import Log, LogRead
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.records import BatchHeader

READ_COMMITTED = 1


class Partition:
    """A partition led by this node. Built by the `PartitionManager`, which tells it of every change of leadership."""

    def __init__(
        self,
        topic: str,
        topic_id: UUID,
        index: int,
        log: Log,
        leader_epoch: int,
        isr: Sequence[int],
        *,
        now_ms: Callable[[], int],
    ) -> None:
        self.topic = topic
        self.topic_id = topic_id
        self.index = index
        self.log = log
        self.leader_epoch = leader_epoch
        self.isr = tuple(isr)
        self._now_ms = now_ms
        self._high_watermark = log.durable_offset
        self._awaiting_commit: deque[Commit] = deque()
        self._awaiting_records: dict[FetchWait, None] = {}
        """In the order they came."""
        self._closed: ApiError | None = None
        log.epochs.assign(leader_epoch, log.log_end_offset)
        log.on_durable = self._log_advanced
        log.on_rejected = self._log_rejected

    def __str__(self) -> str:
        return f"{self.topic}-{self.index}"

    @property
    def config(self) -> TopicConfig:
        return self.log.config

    @property
    def high_watermark(self) -> int:
        """Exclusive: records below it are committed."""
        return self._high_watermark

    @property
    def last_stable_offset(self) -> int:
        return self.log.last_stable_offset(self._high_watermark)

    def readable_until(self, isolation_level: int) -> int:
        return self.last_stable_offset if isolation_level == READ_COMMITTED else self._high_watermark

    # -- appending ------------------------------------------------------------------------------------------

    def append(self, buffer: memoryview, batches: list[tuple[int, BatchHeader]], *, all_replicas: bool) -> Appended:
        """Append validated batches of one producer.

        Returns at once; `Appended.commit` is settled once the high watermark has passed the last record.
        A batch that this producer sent before is not appended again: it waits for, and answers with, its first place.
        Raises `ApiError` when nothing was appended.
        """
        self._refuse_if_closed()
        log = self.log
        if all_replicas and len(self.isr) < log.config.min_insync_replicas:
            raise ApiError(
                ErrorCode.NOT_ENOUGH_REPLICAS,
                f"{self} has {len(self.isr)} in-sync replicas, min.insync.replicas is {log.config.min_insync_replicas}",
            )
        if batches[0][1].producer_id >= 0:
            assert len(batches) == 1, "produce validation lets one batch through"
            duplicate = log.producers.check(batches[0][1])
            if duplicate is not None:
                return Appended(duplicate.base_offset, -1, log.log_start_offset, self._commit_of(duplicate.last_offset))
        info = log.append(buffer, batches, self.leader_epoch, self._now_ms())
        return Appended(
            info.base_offset, info.log_append_time_ms, log.log_start_offset, self._commit_of(info.last_offset)
        )

    def _commit_of(self, last_offset: int) -> Commit:
        commit = Commit(last_offset)
        if last_offset < self._high_watermark:
            commit.settle(None)
        else:
            self._awaiting_commit.append(commit)
        return commit

    # -- reading --------------------------------------------------------------------------------------------

    def check_epoch(self, current_leader_epoch: int) -> None:
        """Compare the epoch a client believes in with ours (KIP-320); -1 means it does not say."""
        if current_leader_epoch < 0 or current_leader_epoch == self.leader_epoch:
            return
        if current_leader_epoch < self.leader_epoch:
            raise ApiError(
                ErrorCode.FENCED_LEADER_EPOCH,
                f"{self} is at leader epoch {self.leader_epoch}, the request has the older {current_leader_epoch}",
            )
        raise ApiError(
            ErrorCode.UNKNOWN_LEADER_EPOCH,
            f"{self} is at leader epoch {self.leader_epoch}, the request has the newer {current_leader_epoch}",
        )

    def epoch_end(self, epoch: int) -> tuple[int, int]:
        """The largest epoch not above `epoch` and the offset it ends at; (-1, -1) if there is none (KIP-101)."""
        return self.log.epochs.end_offset_for(epoch, self.log.log_end_offset)

    def epoch_at(self, offset: int) -> int:
        """The leader epoch that wrote, or will write, the record at `offset`."""
        return self.log.epochs.epoch_of(offset) if offset < self.log.log_end_offset else self.leader_epoch

    def read_now(self, offset: int, max_bytes: int, until: int, minimum_one: bool) -> LogRead | None:
        """What can be read without asking the disk; None if it must be asked. Raises `ApiError`."""
        self._refuse_if_closed()
        return self.log.read_now(offset, max_bytes, until, minimum_one)

    async def read(self, offset: int, max_bytes: int, until: int, minimum_one: bool) -> LogRead:
        self._refuse_if_closed()
        return await self.log.read(offset, max_bytes, until, minimum_one)

    def wait_for_records(self, waiter: FetchWait) -> None:
        self._awaiting_records[waiter] = None

    def stop_waiting(self, waiter: FetchWait) -> None:
        self._awaiting_records.pop(waiter, None)

    def delete_records(self, before_offset: int) -> int:
        """Move the log start offset up; -1 means to the high watermark. Returns the new low watermark."""
        self._refuse_if_closed()
        target = self._high_watermark if before_offset == -1 else before_offset
        if not 0 <= target <= self._high_watermark:
            raise ApiError(
                ErrorCode.OFFSET_OUT_OF_RANGE,
                f"{self}: records can be deleted up to its high watermark {self._high_watermark}, not to {target}",
            )
        if target > self.log.log_start_offset:
            self.log.advance_log_start(target)
        return self.log.log_start_offset

    # -- changes from outside -------------------------------------------------------------------------------

    def update_leadership(self, leader_epoch: int, isr: Sequence[int]) -> None:
        self.isr = tuple(isr)
        if leader_epoch != self.leader_epoch:
            assert leader_epoch > self.leader_epoch, "leader epochs only grow"
            self.leader_epoch = leader_epoch
            self.log.epochs.assign(leader_epoch, self.log.log_end_offset)

    def close(self, reason: ApiError) -> None:
        """No longer led here: everyone who waits is told why, and so is everyone who comes."""
        self._closed = reason
        self.log.on_durable = None
        self.log.on_rejected = None
        self._refuse_all_commits(reason)
        self._wake_fetches()

    def _refuse_if_closed(self) -> None:
        if self._closed is not None:
            raise ApiError(self._closed.code, self._closed.message)

    def _log_advanced(self, log: Log) -> None:
        """The log's durable offset moved, or the log failed: the one place where the high watermark advances."""
        if log.failed is not None:
            self._refuse_all_commits(ApiError(ErrorCode.KAFKA_STORAGE_ERROR, f"{self}: {log.failed}"))
            return
        committed = log.durable_offset
        if committed <= self._high_watermark:
            return
        self._high_watermark = committed
        waiting = self._awaiting_commit
        while waiting and waiting[0].last_offset < committed:
            waiting.popleft().settle(None)
        self._wake_fetches()

    def _log_rejected(self, first_offset: int, reason: ApiError) -> None:
        """The log took back what it could not write, from `first_offset` on: nobody was told that it is safe."""
        waiting, self._awaiting_commit = self._awaiting_commit, deque()
        for commit in waiting:
            if commit.last_offset < first_offset:
                self._awaiting_commit.append(commit)
            else:
                commit.settle(reason)

    def _refuse_all_commits(self, reason: ApiError) -> None:
        waiting, self._awaiting_commit = self._awaiting_commit, deque()
        for commit in waiting:
            commit.settle(reason)

    def _wake_fetches(self) -> None:
        for waiter in list(self._awaiting_records):
            waiter.wake()


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
    """A fetch that waits for any of its partitions to have more.

    Entered before the partitions are read, so that records that come in between the read and the wait are not missed:

        with FetchWait(partitions) as more:
            ...read, and be done if it is enough...
            await more.within(seconds)
    """

    __slots__ = ("_future", "_partitions")

    def __init__(self, partitions: Collection[Partition]) -> None:
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
