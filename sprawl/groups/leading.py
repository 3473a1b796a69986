"""One led partition of `__consumer_offsets` at work: its shard, its journal, the requests that wait and the timers.

In: requests of members and administrators, as calls to await. Out: their answers, given when the log has what they
rest on. This is the asyncio shell around the pure parts: it reads the clock, arms one timer per group, and keeps a
future per ticket. `run` is its one task; when that ends (leadership lost, shutdown) everybody who waits is told.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf, isinf
from typing import Final, TypeVar
from uuid import UUID

from sprawl.groups.classic import ClassicGroup
from sprawl.groups.exchange import (
    NO_MEMBER,
    Answer,
    Decisions,
    Instant,
    JoinAnswer,
    JoinRequest,
    LeaveAnswer,
    Leaving,
    SyncAnswer,
    SyncRequest,
    Ticket,
    WriteId,
)
from sprawl.groups.journal import Journal, for_clients
from sprawl.groups.log import GroupLog, KeyValue
from sprawl.groups.offsets import CommittedOffset, GroupOffsets, TopicPartition
from sprawl.groups.records import GroupRecord, GroupsRecord, OffsetRecord, encode
from sprawl.groups.settings import GroupSettings
from sprawl.groups.shard import Shard
from sprawl.runtime import Runtime
from sprawl_protocol.errors import ApiError, ErrorCode

log: Final = logging.getLogger(__name__)
A = TypeVar("A", bound=Answer)

_EXPECTED_REFUSALS: Final = frozenset({ErrorCode.NONE, ErrorCode.MEMBER_ID_REQUIRED, ErrorCode.REBALANCE_IN_PROGRESS})


@dataclass(frozen=True, slots=True)
class Committer:
    """Who commits. No member id and generation -1: a consumer that needs no group."""

    member_id: str = NO_MEMBER
    instance_id: str | None = None
    generation: int = -1


class LedPartition:
    def __init__(
        self, runtime: Runtime, settings: GroupSettings, group_log: GroupLog, partition: int, epoch: int
    ) -> None:
        self.partition: Final = partition
        self.epoch: Final = epoch
        self._runtime = runtime
        self._settings = settings
        self._log = group_log
        self._shard = Shard(settings.limits)
        self._journal: Journal | None = None
        self._tickets: dict[Ticket, asyncio.Future[Answer]] = {}
        self._last_ticket = 0
        self._timers: dict[str, tuple[float, asyncio.TimerHandle]] = {}

    @property
    def shard(self) -> Shard:
        return self._shard

    @property
    def is_loaded(self) -> bool:
        return self._journal is not None

    # Its life

    async def run(self) -> None:
        """Load, then serve until cancelled."""
        try:
            size = await self._load()
            journal = Journal(
                self._log, self.partition, self.epoch, self._shard.snapshot, self._settings.snapshot_bytes, size
            )
            self._shard.loaded(self._now())
            self._journal = journal
            for group in tuple(self._shard.groups.values()):
                self._carry_out(group, group.rebalance_if_too_large(self._now()))
            await journal.run()
        finally:
            self._end()

    async def _load(self) -> int:
        """Retries until it works: a partition that cannot be read must not take the others along."""
        while True:
            shard, size, unknown = Shard(self._settings.limits), 0, 0
            try:
                async for key, value in self._log.read_all(self.partition):
                    size += len(key) + len(value or b"")
                    unknown += not shard.replay(key, value)
            except ApiError as refusal:
                log.warning("partition %d of the group log cannot be read: %s", self.partition, refusal.message)
                await asyncio.sleep(self._settings.load_retry_ms / 1000)
                continue
            if unknown:
                log.warning("partition %d of the group log: %d records of unknown kinds", self.partition, unknown)
            self._shard = shard
            return size

    def _end(self) -> None:
        message = f"partition {self.partition} of the group log is no longer led here: find the coordinator again"
        error = ApiError(ErrorCode.NOT_COORDINATOR, message)
        for group in tuple(self._shard.groups.values()):
            self._carry_out(group, group.end(error.code, error.message, self._now()))
        if self._journal is not None:
            self._journal.close(error)
        for _, timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        assert not self._tickets, "a request was left waiting"

    # Members

    async def join(self, group_id: str, request: JoinRequest) -> JoinAnswer:
        if request.member_id != NO_MEMBER and group_id not in self._shard.groups:
            message = f"there is no group {group_id!r}: join without a member id"
            return JoinAnswer(ErrorCode.UNKNOWN_MEMBER_ID, message, request.member_id)
        group = self._shard.group_or_new(group_id, self._now())
        return await self._asked(JoinAnswer, group, lambda ticket: group.join(ticket, request, self._now()))

    async def sync(self, group_id: str, request: SyncRequest) -> SyncAnswer:
        group = self._group(group_id)
        return await self._asked(SyncAnswer, group, lambda ticket: group.sync(ticket, request, self._now()))

    async def leave(self, group_id: str, leaving: tuple[Leaving, ...]) -> LeaveAnswer:
        group = self._group(group_id)
        return await self._asked(LeaveAnswer, group, lambda ticket: group.leave(ticket, leaving, self._now()))

    def heartbeat(self, group_id: str, member_id: str, instance_id: str | None, generation: int) -> None:
        """Raises `ApiError`."""
        group = self._group(group_id)
        try:
            group.heartbeat(member_id, instance_id, generation, self._now())
        finally:
            self._arm(group)

    # Offsets

    async def commit(
        self, group_id: str, committer: Committer, offsets: dict[TopicPartition, CommittedOffset], missing: ErrorCode
    ) -> None:
        """All or nothing. `missing` is what a generation of a group that does not exist is told."""
        group = self._shard.groups.get(group_id)
        if group is not None:
            group.check_commit(committer.member_id, committer.instance_id, committer.generation, self._now())
            self._arm(group)
        elif committer.generation >= 0:
            raise ApiError(missing, f"there is no group {group_id!r}: join first")
        journal = self._journal_with_room()
        records = [OffsetRecord(group_id, at.topic, at.partition, committed) for at, committed in offsets.items()]
        written = self._written_future()
        journal.write([encode(record) for record in records], partial(self._apply, records, written))
        await self._in_time(written)

    async def offsets(self, group_id: str, *, stable: bool) -> GroupOffsets:
        """With `stable`, all commits that arrived before are in the answer."""
        if stable:
            written = self._written_future()
            self._loaded_journal().write([], partial(_settle, written))
            await self._in_time(written)
        return self._shard.offsets(group_id)

    async def delete_offsets(self, group_id: str, asked: Collection[TopicPartition]) -> dict[TopicPartition, ErrorCode]:
        """Raises `ApiError` if none may be deleted."""
        results: dict[TopicPartition, ErrorCode] = {}
        found: list[GroupsRecord] = []

        def build() -> list[KeyValue]:
            group = self._shard.groups.get(group_id)
            if group is None:
                raise ApiError(ErrorCode.GROUP_ID_NOT_FOUND, f"there is no group {group_id!r}")
            group.check_offset_deletion()
            offsets = self._shard.offsets(group_id)
            for at in asked:
                subscribed = group.is_subscribed_to(at.topic)
                results[at] = ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC if subscribed else ErrorCode.NONE
                if not subscribed and offsets.get(at.topic, at.partition) is not None:
                    found.append(OffsetRecord(group_id, at.topic, at.partition, None))
            return [encode(record) for record in found]

        await self._write_built(build, found)
        return results

    # Administration

    async def delete_group(self, group_id: str) -> None:
        """Raises `ApiError`."""
        records: list[GroupsRecord] = []

        def build() -> list[KeyValue]:
            records.extend(self._shard.deletion_of(group_id))
            return [encode(record) for record in records]

        await self._write_built(build, records)
        log.info("group %s: deleted with %d offsets", group_id, len(records) - 1)

    async def expire(self) -> None:
        """What `offsets.retention.minutes` says. Raises `ApiError`."""
        records: list[GroupsRecord] = []

        def build() -> list[KeyValue]:
            for group_id, expired in self._shard.expiry(self._now(), self._settings.offsets_retention_ms):
                log.info("group %s: %d records expire", group_id, len(expired))
                records.extend(expired)
            return [encode(record) for record in records]

        await self._write_built(build, records)

    async def forget_topics(self, topics: Mapping[str, UUID]) -> None:
        """They were deleted, so nobody will go on reading them from where they were. Raises `ApiError`."""
        records: list[GroupsRecord] = []

        def build() -> list[KeyValue]:
            records.extend(self._shard.offsets_of_topics(topics))
            return [encode(record) for record in records]

        await self._write_built(build, records)

    # Requests and the groups' decisions

    async def _asked(self, kind: type[A], group: ClassicGroup, ask: Callable[[Ticket], Decisions]) -> A:
        self._last_ticket += 1
        ticket = Ticket(self._last_ticket)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._tickets[ticket] = future
        self._carry_out(group, ask(ticket))
        answer = await future
        assert isinstance(answer, kind), f"{kind.__name__} was asked for"
        if answer.error not in _EXPECTED_REFUSALS:
            log.info("group %s: %s: %s", group.group_id, answer.error.name, answer.message)
        return answer

    def _carry_out(self, group: ClassicGroup, decisions: Decisions) -> None:
        for ticket, answer in decisions.answers:
            future = self._tickets.pop(ticket)
            if not future.done():  # whoever asked may have given up
                future.set_result(answer)
        for write in decisions.writes:
            record = GroupRecord(group.group_id, write.group)
            self._loaded_journal().write([encode(record)], partial(self._group_written, group, write.id))
        self._arm(group)
        self._shard.forget_if_blank(group.group_id)

    def _group_written(self, group: ClassicGroup, write_id: WriteId, error: ApiError | None) -> None:
        code = None if error is None else for_clients(error).code
        self._carry_out(group, group.written(write_id, code, self._now()))

    def _arm(self, group: ClassicGroup) -> None:
        """One timer per group, at the earliest moment at which it may have something to do."""
        wake_at = group.wake_at_ms
        armed_at, timer = self._timers.get(group.group_id, (inf, None))
        if timer is not None:
            if armed_at <= wake_at and not isinf(wake_at):
                return  # it will find nothing to do, and then be set anew
            timer.cancel()
            del self._timers[group.group_id]
        if not isinf(wake_at):
            delay = max(wake_at - self._now().monotonic_ms, 0.0) / 1000
            handle = asyncio.get_running_loop().call_later(delay, self._wake, group.group_id)
            self._timers[group.group_id] = (wake_at, handle)

    def _wake(self, group_id: str) -> None:
        del self._timers[group_id]
        group = self._shard.groups.get(group_id)
        if group is not None:
            self._carry_out(group, group.tick(self._now()))

    # Writes that are not a group's own

    async def _write_built(self, build: Callable[[], list[KeyValue]], records: list[GroupsRecord]) -> None:
        """`records` are what `build` makes records of: filled in by then, and applied once written."""
        written = self._written_future()
        self._journal_with_room().write_built(build, partial(self._apply, records, written))
        await self._in_time(written)

    def _apply(self, records: Sequence[GroupsRecord], written: asyncio.Future[None], error: ApiError | None) -> None:
        if error is None:
            now = self._now()
            for record in records:
                if isinstance(record, OffsetRecord):
                    self._shard.apply(record, now)
                elif record.stored is None:
                    self._end_deleted(record.group_id, now)
        _settle(written, error)

    def _end_deleted(self, group_id: str, now: Instant) -> None:
        ended = self._shard.deleted(group_id, now)
        if ended is not None:
            message = f"group {group_id!r} was deleted"
            self._carry_out(ended, ended.end(ErrorCode.COORDINATOR_NOT_AVAILABLE, message, now))

    def _written_future(self) -> asyncio.Future[None]:
        return asyncio.get_running_loop().create_future()

    async def _in_time(self, written: asyncio.Future[None]) -> None:
        timeout_ms = self._settings.commit_timeout_ms
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                await written
        except TimeoutError:
            raise ApiError(
                ErrorCode.COORDINATOR_NOT_AVAILABLE,
                f"not committed within offsets.commit.timeout.ms ({timeout_ms}); it may yet be: try again",
            ) from None

    # Small things

    def fresh_id(self, prefix: str) -> str:
        return f"{prefix}-{UUID(bytes=self._runtime.token_bytes(16), version=4)}"

    def _now(self) -> Instant:
        clock = self._runtime.clock
        return Instant(clock.monotonic() * 1000, clock.wall_ms())

    def _group(self, group_id: str) -> ClassicGroup:
        group = self._shard.groups.get(group_id)
        if group is None:
            raise ApiError(ErrorCode.UNKNOWN_MEMBER_ID, f"there is no group {group_id!r}: join first")
        return group

    def _loaded_journal(self) -> Journal:
        assert self._journal is not None, "the registry lets nobody in before the log is read"
        return self._journal

    def _journal_with_room(self) -> Journal:
        journal = self._loaded_journal()
        journal.check_room()
        return journal


def _settle(written: asyncio.Future[None], error: ApiError | None) -> None:
    if written.done():
        return  # whoever waited has given up
    if error is None:
        written.set_result(None)
    else:
        written.set_exception(for_clients(error))
