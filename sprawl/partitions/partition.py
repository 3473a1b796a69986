"""One partition replica on this node: the log, the high watermark, and who waits for either.

The rules of the room:

- A replica leads or follows, as the metadata image says; `lead` and `follow` are the only ways from one to the other,
  and each is for one leader epoch.
- The high watermark is the least durable offset over the in-sync replicas (`insync.py`), never goes back within a
  leader epoch, and is the only thing that lets an `acks=all` producer be answered or a consumer read. It stands still
  while fewer than min.insync.replicas are in sync (KIP-966).
- What "durable" means on a replica is its log's business (`sprawl.durability`).
- Nobody waits on a timer: producers and fetches are woken by the log, through `_log_advanced`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from uuid import UUID

from sprawl.config.topics import TopicConfig
from sprawl.partitions.cold import Beginning, ColdRecords
from sprawl.partitions.insync import InSync
from sprawl.partitions.waiting import Appended, Commit, FetchWait
from sprawl.partitions.waiting_room import WaitingRoom
from sprawl.quorum.image import PartitionImage
from sprawl.storage.log import Log, LogRead
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.records import BatchHeader, stamp

READ_COMMITTED = 1
NOBODY = -1


class Partition:
    """Built by the `PartitionManager`, which tells it of every change of leadership. It neither leads nor follows
    until it is told."""

    def __init__(
        self,
        topic: str,
        topic_id: UUID,
        index: int,
        log: Log,
        *,
        node_id: int,
        now_ms: Callable[[], int],
        now: Callable[[], float],
    ) -> None:
        self.topic = topic
        self.topic_id = topic_id
        self.index = index
        self.log = log
        self.leader = NOBODY
        self.leader_epoch = -1
        self.epoch_start = 0
        """As leader: where this epoch began. Everything below was there before."""
        self.in_sync = False
        """Whether this replica is, as the image last said."""
        self.lost = False
        """The controller knows that this replica does not have its data: nobody counts on it, and it may be mended."""
        self.alone = True
        """There is no other replica."""
        self.insync: InSync | None = None
        """While leading."""
        self.appends = self.records_in = self.bytes_in = 0
        """What producers have appended here since this object was made: for those who measure."""
        self.mending = asyncio.Lock()
        """Held while the log is cut or replaced, and while the role changes."""
        self.cold: ColdRecords | None = None
        """The part of the log that the cloud tier has, where there is a tier."""
        self.on_isr_due: Callable[[Partition], None] | None = None
        """Told that the in-sync set might have to change."""
        self._node_id = node_id
        self._now_ms = now_ms
        self._now = now
        self._high_watermark = log.local_start_offset
        self.waiting = WaitingRoom()
        self._closed: ApiError | None = None
        log.on_durable = self._log_advanced
        log.on_written = self._log_written
        log.on_rejected = self._log_rejected

    def __str__(self) -> str:
        return f"{self.topic}-{self.index}"

    @property
    def config(self) -> TopicConfig:
        return self.log.config

    @property
    def leading(self) -> bool:
        return self.insync is not None

    @property
    def high_watermark(self) -> int:
        """Exclusive: records below it are committed."""
        return self._high_watermark

    @property
    def established(self) -> bool:
        """As leader: whether everything that earlier leaders committed is known to be committed (KIP-207)."""
        return self.leading and self._high_watermark >= self.epoch_start

    @property
    def last_stable_offset(self) -> int:
        return self.log.last_stable_offset(self._high_watermark)

    @property
    def replica_end(self) -> int:
        """What followers may be given: nothing that this log may have to take back."""
        return self.log.servable_offset

    @property
    def min_isr(self) -> int:
        """min.insync.replicas, as far as there are so many replicas."""
        assert self.insync is not None, "only a leader asks"
        return min(self.log.config.min_insync_replicas, len(self.insync.followers) + 1)

    def readable_until(self, isolation_level: int) -> int:
        return self.last_stable_offset if isolation_level == READ_COMMITTED else self._high_watermark

    # -- roles ------------------------------------------------------------------------------------------------

    def lead(self, image: PartitionImage) -> None:
        """This node leads from now on, in `image.leader_epoch`; or it goes on leading, with other replicas or ISR."""
        self._note(image)
        now, self.in_sync = self._now(), True
        insync = self.insync
        if insync is not None and image.leader_epoch == self.leader_epoch:
            insync.assign(image.replicas, now)
            insync.lost(image.lost)
            insync.settle(image.isr, image.partition_epoch)
            self._advance()
        else:
            assert image.leader_epoch > self.leader_epoch, "leader epochs only grow"
            self.waiting.refuse(_moved(self, image.leader_epoch))
            self.insync = InSync(self._node_id, image.replicas, image.isr, image.partition_epoch, now)
            self.leader = self._node_id
            self.leader_epoch = image.leader_epoch
            self.epoch_start = self.log.log_end_offset
            self.log.epochs.assign(image.leader_epoch, self.epoch_start)
            self._high_watermark = max(self._high_watermark, self.log.local_start_offset)
            self._advance()
            self.waiting.wake_fetches()

    def follow(self, image: PartitionImage) -> None:
        """Another node leads, or nobody."""
        self._note(image)
        self.in_sync = self._node_id in image.isr
        if (image.leader, image.leader_epoch) == (self.leader, self.leader_epoch) and not self.leading:
            return
        self.insync = None
        self.leader = image.leader
        self.leader_epoch = image.leader_epoch
        self.waiting.refuse(_moved(self, image.leader_epoch))
        self.waiting.wake_fetches()

    def _note(self, image: PartitionImage) -> None:
        self.lost = self._node_id in image.lost
        self.alone = image.replicas == (self._node_id,)

    def close(self, reason: ApiError) -> None:
        """No longer kept here: everyone who waits is told why, and so is everyone who comes."""
        self._closed = reason
        self.insync = None
        self.log.on_durable = None
        self.log.on_written = None
        self.log.on_rejected = None
        self.log.on_damaged = None
        self.waiting.refuse(reason)
        self.waiting.look_again()
        self.waiting.wake_fetches()

    def _refuse_unless_leading(self) -> None:
        self._refuse_if_closed()
        if self.insync is None:
            raise ApiError(ErrorCode.NOT_LEADER_OR_FOLLOWER, f"{self} is led by node {self.leader}, not by this one")

    def _refuse_if_closed(self) -> None:
        if self._closed is not None:
            raise ApiError(self._closed.code, self._closed.message)

    # -- appending ------------------------------------------------------------------------------------------

    def append(self, buffer: memoryview, batches: list[tuple[int, BatchHeader]], *, all_replicas: bool) -> Appended:
        """Append validated batches of one producer.

        Returns at once; `Appended.commit` is settled once the high watermark has passed the last record, or, unless
        `all_replicas`, once it is durable here. A batch that this producer sent before is not appended again: it waits
        for, and answers with, its first place. Raises `ApiError` when nothing was appended.
        """
        self._refuse_unless_leading()
        log = self.log
        if all_replicas:
            self._refuse_if_too_few()
        if batches[0][1].producer_id >= 0:
            assert len(batches) == 1, "produce validation lets one batch through"
            duplicate = log.producers.check(batches[0][1])
            if duplicate is not None:
                commit = self._commit_of(duplicate.last_offset, all_replicas=all_replicas)
                return Appended(duplicate.base_offset, -1, log.log_start_offset, commit)
        info = log.append(buffer, batches, self.leader_epoch, self._now_ms())
        self.appends += 1
        self.records_in += info.last_offset + 1 - info.base_offset
        self.bytes_in += len(buffer)
        commit = self._commit_of(info.last_offset, all_replicas=all_replicas)
        return Appended(info.base_offset, info.log_append_time_ms, log.log_start_offset, commit)

    def append_imported(self, buffer: memoryview, batches: list[tuple[int, BatchHeader]]) -> Appended:
        """Append batches at the offsets they bear, as `check_import` lets them through; all replicas are to have them.

        Raises as `append`.
        """
        self._refuse_unless_leading()
        self._refuse_if_too_few()
        log, first = self.log, batches[0][1].base_offset
        for position, header in batches:
            stamp(buffer, position, header.base_offset, self.leader_epoch)
            header.partition_leader_epoch = self.leader_epoch
        try:
            log.append_replicated(buffer, batches)
        except ValueError as problem:
            raise ApiError(ErrorCode.KAFKA_STORAGE_ERROR, str(problem)) from None
        self.appends += 1
        self.records_in += sum(header.record_count for _, header in batches)
        self.bytes_in += len(buffer)
        last = batches[-1][1].last_offset
        return Appended(first, -1, log.log_start_offset, self._commit_of(last, all_replicas=True))

    def _refuse_if_too_few(self) -> None:
        assert self.insync is not None, "only a leader is asked"
        if len(self.insync.isr) < self.min_isr:
            raise ApiError(
                ErrorCode.NOT_ENOUGH_REPLICAS,
                f"{self} has {len(self.insync.isr)} in-sync replicas, min.insync.replicas is "
                f"{self.log.config.min_insync_replicas}",
            )

    def _commit_of(self, last_offset: int, *, all_replicas: bool) -> Commit:
        commit = Commit(last_offset)
        if last_offset < (self._high_watermark if all_replicas else self.log.durable_offset):
            commit.settle(None)
        elif all_replicas:
            self.waiting.for_commit(commit)
        else:
            self.waiting.for_write(commit)
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
        self._know_epochs()
        return self.log.epochs.end_offset_for(epoch, self.log.log_end_offset)

    def epoch_at(self, offset: int) -> int:
        """The leader epoch that wrote, or will write, the record at `offset`."""
        self._know_epochs()
        return self.log.epochs.epoch_of(offset) if offset < self.log.log_end_offset else self.leader_epoch

    def _know_epochs(self) -> None:
        """What a replica did not write itself, and may have lost with its index, the tier knows."""
        log, cold = self.log, self.cold
        if cold is not None and log.log_start_offset < log.local_start_offset:
            known = log.epochs.entries
            if not known or known[0][1] > log.log_start_offset:
                log.epochs.precede(entry for entry in cold.epochs if entry[1] < log.local_start_offset)
                log.epochs.truncate_start(log.log_start_offset)

    def read_now(self, offset: int, max_bytes: int, until: int, minimum_one: bool) -> LogRead | None:
        """What can be read without asking the disk, or the tier; None if they must be asked. Raises `ApiError`."""
        self._refuse_if_closed()
        if self.is_cold(offset):
            return None
        return self.log.read_now(offset, max_bytes, until, minimum_one)

    async def read(self, offset: int, max_bytes: int, until: int, minimum_one: bool) -> LogRead:
        self._refuse_if_closed()
        while True:
            if not self.is_cold(offset):
                try:
                    return await self.log.read(offset, max_bytes, until, minimum_one)
                except ApiError:
                    if not self.is_cold(offset):
                        raise  # otherwise: it left the disk meanwhile
            assert self.cold is not None, "what is cold is in a tier"
            read = await self.cold.read(offset, max_bytes, until, minimum_one)
            if read.size or read.next_offset == offset:
                return read
            offset = read.next_offset  # behind a gap

    async def offset_for_timestamp(self, timestamp: int) -> tuple[int, int, int] | None:
        """Offset, timestamp, leader epoch of the first record that is as new as `timestamp`. Raises `ApiError`."""
        start = self.log.log_start_offset
        if self.is_cold(start):
            assert self.cold is not None, "what is cold is in a tier"
            found = await self.cold.first_at_or_after(timestamp, start)
            if found is not None:
                return found.offset, found.timestamp, found.leader_epoch
        return await self.log.offset_for_timestamp(timestamp)

    async def max_timestamp_offset(self) -> tuple[int, int, int] | None:
        """The same, of the first of the records with the largest timestamp."""
        start, here = self.log.log_start_offset, await self.log.max_timestamp_offset()
        if self.is_cold(start):
            assert self.cold is not None, "what is cold is in a tier"
            found = await self.cold.newest(start)
            if found is not None and (here is None or found.timestamp >= here[1]):
                return found.offset, found.timestamp, found.leader_epoch
        return here

    def is_cold(self, offset: int) -> bool:
        """Whether a record has left the disk."""
        return self.cold is not None and self.log.log_start_offset <= offset < self.log.local_start_offset

    def expect(self, offset: int, max_bytes: int) -> None:
        """What is read there soon may be fetched from the tier already."""
        if self.is_cold(offset):
            assert self.cold is not None, "what is cold is in a tier"
            self.cold.expect(offset, max_bytes)

    def wait_for_records(self, waiter: FetchWait) -> None:
        self.waiting.for_records(waiter)

    def stop_waiting(self, waiter: FetchWait) -> None:
        self.waiting.leave(waiter)

    def delete_records(self, before_offset: int) -> int:
        """Move the log start offset up; -1 means to the high watermark. Returns the new low watermark."""
        self._refuse_unless_leading()
        target = self._high_watermark if before_offset == -1 else before_offset
        if not 0 <= target <= self._high_watermark:
            raise ApiError(
                ErrorCode.OFFSET_OUT_OF_RANGE,
                f"{self}: records can be deleted up to its high watermark {self._high_watermark}, not to {target}",
            )
        if target > self.log.log_start_offset:
            self.log.advance_log_start(target)
        return self.log.log_start_offset

    async def until_established(self) -> None:
        """Wait until everything that earlier leaders committed can be read here. Raises `ApiError`."""
        self._refuse_unless_leading()
        if not self.established:
            await self.waiting.until_established()

    # -- replicas -------------------------------------------------------------------------------------------

    def fetched_by(self, follower: int, broker_epoch: int, offset: int) -> None:
        """A follower fetches from `offset` on, and so has everything below. Raises `ApiError`."""
        self._refuse_unless_leading()
        assert self.insync is not None
        if follower not in self.insync.followers:
            raise ApiError(ErrorCode.UNKNOWN_LEADER_EPOCH, f"node {follower} is no replica of {self} yet, as seen here")
        self.insync.fetched(follower, broker_epoch, offset, self.log.log_end_offset, self._now())
        self._advance()
        if follower not in self.insync.isr and self.on_isr_due is not None:
            self.on_isr_due(self)

    def refuse_unless_readable(self) -> None:
        """As follower: whether consumers may read what is committed here (KIP-392). Raises `ApiError`."""
        self._refuse_if_closed()
        if self.lost or self.log.damaged is not None:
            raise ApiError(ErrorCode.NOT_LEADER_OR_FOLLOWER, f"{self} is not whole here; read from its leader")

    def refuse_if_damaged(self) -> None:
        """A follower would cut off what it has and this log has not any more. Raises `ApiError`."""
        if self.log.damaged is not None:
            raise ApiError(ErrorCode.KAFKA_STORAGE_ERROR, f"{self} is damaged here and cannot be followed")

    def wanted_isr(self, lag: float, eligible: Callable[[int, int], bool]) -> tuple[int, ...] | None:
        """The in-sync set as it should be, if it should be another."""
        if self.insync is None:
            return None
        return self.insync.wanted(
            high_watermark=self._high_watermark,
            epoch_start=self.epoch_start,
            leader_end=self.log.log_end_offset,
            lag=lag,
            now=self._now(),
            eligible=eligible,
        )

    def isr_settled(self, leader_epoch: int, isr: Sequence[int], partition_epoch: int) -> None:
        """The controller answers a change."""
        if self.insync is not None and leader_epoch == self.leader_epoch:
            if partition_epoch >= self.insync.partition_epoch:
                self.insync.pending = None
            self.insync.settle(isr, partition_epoch)
            self._advance()

    def leader_says(self, high_watermark: int, log_start_offset: int) -> None:
        """As follower: how far the leader's log is committed, and where it begins."""
        self._raise_high_watermark(min(high_watermark, self.log.log_end_offset))
        start = min(log_start_offset, self._high_watermark)
        if start > self.log.log_start_offset:
            self.log.advance_log_start(start)

    async def cut(self, offset: int) -> None:
        """As follower: the leader's log goes on differently from `offset` on. Raises `ApiError`, `OSError`."""
        await self.log.truncate_to(offset)
        self.waiting.look_again()
        self._high_watermark = min(self._high_watermark, self.log.log_end_offset)

    async def begin_at(self, offset: int) -> None:
        """As follower: what is here has no place in the leader's log, which begins at `offset`."""
        await self.log.reset_to(offset)
        self.waiting.look_again()
        self._high_watermark = offset

    async def begin_behind_tier(self, beginning: Beginning, log_start_offset: int) -> None:
        """As follower: what the leader has not here, but in the tier, is left there (KIP-405). Raises as `begin_at`."""
        await self.log.begin_behind_tier(beginning.offset, log_start_offset, beginning.epochs, beginning.producers)
        self.waiting.look_again()
        self._high_watermark = beginning.offset

    async def durable(self) -> None:
        """Wait until everything appended so far is durable here. Raises `ApiError` if it will not be."""
        target = self.log.log_end_offset
        while self.log.durable_offset < min(target, self.log.log_end_offset):
            self._refuse_if_closed()
            # What the disk took back since is nothing to wait for.
            await self.waiting.until_durable(min(target, self.log.log_end_offset))
        if self.log.failed is not None:
            raise ApiError(ErrorCode.KAFKA_STORAGE_ERROR, f"{self}: {self.log.failed}")

    # -- the high watermark -----------------------------------------------------------------------------------

    def _advance(self) -> None:
        """The one place where a leader's high watermark moves."""
        insync = self.insync
        if insync is not None and len(insync.isr) >= self.min_isr:
            self._raise_high_watermark(insync.committed(self.log.durable_offset))

    def _raise_high_watermark(self, committed: int) -> None:
        if committed <= self._high_watermark:
            return
        self._high_watermark = committed
        self.waiting.committed(committed, established=self.established)

    def _log_advanced(self, log: Log) -> None:
        """The log's durable offset moved, or the log failed."""
        if log.failed is not None:
            self.waiting.look_again()
            self.waiting.refuse(ApiError(ErrorCode.KAFKA_STORAGE_ERROR, f"{self}: {log.failed}"))
            return
        self.waiting.durable(log.durable_offset)
        self._advance()
        self.waiting.appended()

    def _log_written(self) -> None:
        self.waiting.appended()

    def _log_rejected(self, first_offset: int, reason: ApiError) -> None:
        """The log took back what it could not write, from `first_offset` on: nobody was told that it is safe."""
        self.waiting.rejected(first_offset, reason)


def _moved(partition: Partition, epoch: int) -> ApiError:
    return ApiError(
        ErrorCode.NOT_LEADER_OR_FOLLOWER,
        f"{partition}: leader epoch {epoch} has begun; whether the records were committed is for its leader to say",
    )
