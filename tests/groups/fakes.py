"""What the shell of the groups stands on, in memory: a log that can fail or stall, a runtime, and time that can be
skipped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from functools import wraps
from typing import Any, cast

from sprawl.groups.coordinator import GroupCoordinator
from sprawl.groups.exchange import GroupLimits, JoinAnswer, JoinRequest, Leaving, Strategy, SyncAnswer, SyncRequest
from sprawl.groups.leading import Committer
from sprawl.groups.log import KeyValue
from sprawl.groups.offsets import CommittedOffset, TopicPartition
from sprawl.groups.registry import GroupRegistry
from sprawl.groups.settings import GroupSettings
from sprawl.runtime import Runtime
from sprawl_protocol.errors import ApiError, ErrorCode
from tests.groups.script import subscription

EPOCH = 7
GROUP = "g"


class SkippingLoop(asyncio.SelectorEventLoop):
    """Virtual time: when nothing is ready, it is the time of the next timer."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        if not self._ready:  # type: ignore[attr-defined]
            timers = (each.when() for each in self._scheduled if not each.cancelled())  # type: ignore[attr-defined]
            self._now = max(self._now, min(timers, default=self._now))
        super()._run_once()  # type: ignore[misc]


def on_virtual_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:  # not a coroutine: it brings its own loop
        with asyncio.Runner(loop_factory=SkippingLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run


class FakeClock:
    def wall_ms(self) -> int:
        return 1_700_000_000_000 + int(self.monotonic() * 1000)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


class FakeRuntime:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self._tokens = 0

    def token_bytes(self, size: int) -> bytes:
        self._tokens += 1
        return self._tokens.to_bytes(size, "big")


class FakeLog:
    """Partitions of records with offsets. What it holds outlives the registry: a second one starts from it."""

    def __init__(self) -> None:
        self.partitions: dict[int, list[tuple[int, bytes, bytes | None]]] = {}
        self.ends: dict[int, int] = {}
        self.epoch = EPOCH
        self.refuses: list[ApiError] = []
        """Each refuses one append."""
        self.refuses_to_read: list[ApiError] = []
        self.gate: asyncio.Event | None = None
        """While it is there and not set, appends and reads do not return."""
        self.appends: list[int] = []
        """How many records each had."""
        self.trims: list[int] = []

    async def append(self, partition: int, records: Sequence[KeyValue], expected_epoch: int) -> int:
        if expected_epoch != self.epoch:
            raise ApiError(ErrorCode.NOT_LEADER_OR_FOLLOWER, f"epoch {self.epoch}, not {expected_epoch}")
        await self._through_the_gate()
        if self.refuses:
            raise self.refuses.pop(0)
        self.appends.append(len(records))
        held = self.partitions.setdefault(partition, [])
        for key, value in records:
            held.append((self.end_offset(partition), key, value))
            self.ends[partition] = self.end_offset(partition) + 1
        return self.end_offset(partition)

    async def read_all(self, partition: int) -> AsyncIterator[KeyValue]:
        await self._through_the_gate()
        if self.refuses_to_read:
            raise self.refuses_to_read.pop(0)
        for _, key, value in list(self.partitions.get(partition, ())):
            yield key, value

    async def trim(self, partition: int, before_offset: int) -> None:
        self.trims.append(before_offset)
        self.partitions[partition] = [each for each in self.partitions[partition] if each[0] >= before_offset]

    def end_offset(self, partition: int) -> int:
        return self.ends.get(partition, 0)

    async def _through_the_gate(self) -> None:
        if self.gate is not None:
            await self.gate.wait()
        await asyncio.sleep(0)


QUICK = GroupSettings(limits=GroupLimits(initial_rebalance_delay_ms=0), partitions=1)


class Coordinating:
    """A coordinator of one partition over a log, and clients' requests in one line each."""

    def __init__(self, log: FakeLog | None = None, settings: GroupSettings = QUICK) -> None:
        self.log = log or FakeLog()
        self.runtime = FakeRuntime()
        self.registry = GroupRegistry(cast(Runtime, self.runtime), settings, self.log)
        self.coordinator = GroupCoordinator(self.registry, settings, lambda: 1)

    async def __aenter__(self) -> Coordinating:
        self.registry.start()
        self.registry.lead(0, self.log.epoch)
        await settle()
        assert self.registry.all_led()[0].is_loaded or self.log.gate is not None
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.registry.stop()

    async def join(self, member_id: str = "", *, group_id: str = GROUP, **fields: Any) -> JoinAnswer:
        topics = fields.pop("topics", ["t"])
        request = JoinRequest(
            member_id=member_id,
            instance_id=fields.pop("instance", None),
            client_id="client",
            client_host="/127.0.0.1",
            session_timeout_ms=fields.pop("session_timeout_ms", 10_000),
            rebalance_timeout_ms=60_000,
            protocol_type=fields.pop("protocol_type", "consumer"),
            strategies=(Strategy("range", subscription(topics)),),
            fresh_id="client",
            must_return_with_id=False,
            **fields,
        )
        return await self.coordinator.join(group_id, request)

    async def sync(self, joined: JoinAnswer, assignments: dict[str, bytes] | None = None) -> SyncAnswer:
        given = tuple((assignments or {}).items())
        request = SyncRequest(joined.member_id, None, joined.generation, None, None, given)
        return await self.coordinator.sync(GROUP, request)

    async def stable(self, **fields: Any) -> JoinAnswer:
        """One member with an assignment."""
        joined = await self.join(**fields)
        synced = await self.sync(joined, {joined.member_id: b"mine"})
        assert synced.error is ErrorCode.NONE, synced
        return joined

    async def leave(self, joined: JoinAnswer) -> ErrorCode:
        answer = await self.coordinator.leave(GROUP, (Leaving(joined.member_id),))
        return answer.error

    async def commit(
        self, offset: int, by: JoinAnswer | None = None, *, topic: str = "t", partition: int = 0, group_id: str = GROUP
    ) -> None:
        committer = Committer() if by is None else Committer(by.member_id, None, by.generation)
        committed = CommittedOffset(offset, -1, "", self.runtime.clock.wall_ms())
        at = TopicPartition(topic, partition)
        await self.coordinator.commit(group_id, committer, {at: committed}, ErrorCode.ILLEGAL_GENERATION)

    async def committed(self, *, topic: str = "t", partition: int = 0, group_id: str = GROUP) -> int | None:
        offsets = await self.coordinator.offsets(group_id, stable=True)
        found = offsets.get(topic, partition)
        return None if found is None else found.offset


async def settle() -> None:
    """Let everything that is ready run."""
    for _ in range(20):
        await asyncio.sleep(0)
