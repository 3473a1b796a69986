"""Consumers of a simulated cluster, which judge as they read.

In: a partition. Out: what was read at each offset, shared by all readers (`Ledger`), and a `HistoryError` as soon as
two of them see different things, offsets go back, or a committed offset is forgotten. They read while there are faults,
so they see what is only wrong for a moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from sprawl.runtime.simulated import SimulatedRuntime
from sprawl.wire.client import ClientError, KafkaClient
from sprawl_protocol.errors import ErrorCode
from sprawl_protocol.messages import (
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    FindCoordinatorRequest,
    FindCoordinatorResponse,
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
    OffsetFetchResponse,
)
from sprawl_protocol.records import headers, records_of
from tools.history.entries import Entry
from tools.history.ledger import HistoryError, Ledger
from tools.simulate.clients import Links

_PAUSE: Final = 0.1
_MAX_WAIT_MS: Final = 1000
_STRANGE: Final = 0.02
"""Of the polls: they name a leader epoch that nobody can know, and must be refused (KIP-320)."""
_FUTURE: Final = 100_000
_HOME: Final = 0.05
"""Of the polls of a follower: the reader asks the leader next, as clients do when their metadata have grown old."""


class Reader:
    """Tails one partition from its beginning; now and then it begins again."""

    def __init__(
        self,
        runtime: SimulatedRuntime,
        links: Links,
        topic: str,
        partition: int,
        ledger: Ledger,
        pause: float,
        rack: str,
    ) -> None:
        """`pause`: seconds from one poll to the next; 0: it waits at the leader for what comes. `rack`: where it is; it
        goes where the leader sends it (KIP-392)."""
        self._rack = rack
        self._near = ""
        self.sent_elsewhere = 0
        self._runtime = runtime
        self._wait = pause
        self._links = links
        self._topic = topic
        self._partition = partition
        self._ledger = ledger
        self._leader = ""
        self._epoch = -1
        self.position = 0
        self.journal: list[Entry] = [["client", "consumer", {"kind": "consumer"}]]
        self._seek(0)

    async def run(self) -> None:
        while True:
            try:
                await self._step()
            except (ClientError, OSError):
                self._leader = self._near = ""
                await asyncio.sleep(_PAUSE)
            if self._wait and self._leader:
                await asyncio.sleep(self._wait * (0.5 + self._runtime.rng.random()))

    async def _step(self) -> None:
        if not self._leader:
            name, epoch = (await self._links.leadership(self._topic)).get(self._partition, ("", -1))
            if not name or epoch < self._epoch:  # as clients do: what is older than what is known is not believed
                await asyncio.sleep(_PAUSE)
                return
            self._leader, self._epoch = name, epoch
        asked = self._near or self._leader
        client = await self._links.to(asked)
        strange = self._runtime.rng.random() < _STRANGE
        wanted = FetchPartition(
            partition=self._partition,
            current_leader_epoch=self._epoch + (_FUTURE if strange else 0),
            fetch_offset=self.position,
            partition_max_bytes=1 << 18,
        )
        request = FetchRequest(
            max_wait_ms=0 if self._wait else _MAX_WAIT_MS,
            min_bytes=1,
            topics=[FetchTopic(topic=self._topic, partitions=[wanted])],
            rack_id=self._rack,
        )
        answer = await client.request(request, version=12, expect=FetchResponse)
        if answer.error_code:
            self._leader = self._near = ""
            await asyncio.sleep(_PAUSE)
            return
        data = answer.responses[0].partitions[0]
        error = ErrorCode(data.error_code)
        if strange:
            if error is ErrorCode.NONE:
                raise HistoryError(f"{self._ledger.name}: {asked} answers in a leader epoch that does not exist yet")
            return
        if self._near and (error is not ErrorCode.NONE or self._runtime.rng.random() < _HOME):
            self._near = ""  # whatever a follower does not know, the leader does
            if error is not ErrorCode.NONE:
                return
        if error is ErrorCode.OFFSET_OUT_OF_RANGE:
            raise HistoryError(
                f"{self._ledger.name}: node {self._leader} says that offset {self.position}, up to which all was read, "
                f"does not exist (it has {data.log_start_offset} to {data.high_watermark})"
            )
        if error is not ErrorCode.NONE:
            self._leader = ""
            await asyncio.sleep(_PAUSE)
            return
        if data.preferred_read_replica >= 0:
            self._near = f"n{data.preferred_read_replica}"
            self.sent_elsewhere += 1
            return
        self._take(bytes(data.records or b""))
        if self.position and self._runtime.rng.random() < 0.01:
            self._seek(self._runtime.rng.randrange(self.position))

    def _seek(self, offset: int) -> None:
        self.position = offset
        self.journal.append(["seek", self._runtime.clock.monotonic(), self._partition, offset])

    def _take(self, records: bytes) -> None:
        read: list[tuple[int, int, int]] = []
        for position, header in headers(records):
            if header.next_offset <= self.position:
                continue
            for record in records_of(records, position):
                if record.offset < self.position:
                    continue
                if record.offset > self.position:
                    gap = f"after offset {self.position - 1} comes {record.offset}"
                    raise HistoryError(f"{self._ledger.name}: {gap}: something is left out")
                value = int(bytes(record.value or b""))
                self._ledger.saw(record.offset, value)
                read.append((self._partition, record.offset, value))
                self.position = record.offset + 1
        if read:
            self.journal.append(["poll", self._runtime.clock.monotonic(), read])


class Committer:
    """Commits offsets for a group of its own, each greater than the last, and looks whether they are remembered."""

    def __init__(
        self,
        runtime: SimulatedRuntime,
        links: Links,
        group: str,
        topic: str,
        partition: int,
        pause: float,
        behind: Callable[[str], bool],
    ) -> None:
        """`behind`: whether some node has not heard who coordinates a group now. One may believe that it still does,
        and remember less than the one that does: Kafka promises no more."""
        self._behind = behind
        self._runtime = runtime
        self._links = links
        self._group = group
        self._topic = topic
        self._partition = partition
        self._wait = pause
        self._coordinator = ""
        self.acknowledged = -1
        self.sent = -1
        self.unknown: set[int] = set()
        """Commits that were not answered: they may take effect at any time."""

    async def run(self) -> None:
        while True:
            try:
                await self._step()
            except (ClientError, OSError):
                self._coordinator = ""
            await asyncio.sleep(self._wait * (0.5 + self._runtime.rng.random()))

    async def _step(self) -> None:
        client = await self._client()
        if client is None:
            return
        if self._runtime.rng.random() < 0.5:
            await self._commit(client)
        else:
            await self._look(client)

    async def settle(self) -> None:
        """At the end: look until there is an answer. Raises `HistoryError`."""
        while True:
            try:
                client = await self._client()
                if client is not None and await self._look(client):
                    return
            except (ClientError, OSError):
                self._coordinator = ""
            await asyncio.sleep(_PAUSE)

    async def _client(self) -> KafkaClient | None:
        if not self._coordinator:
            client = await self._links.any()
            answer = await client.request(
                FindCoordinatorRequest(key_type=0, coordinator_keys=[self._group]), expect=FindCoordinatorResponse
            )
            found = answer.coordinators[0]
            if found.error_code:
                return None
            self._coordinator = found.host
        return await self._links.to(self._coordinator)

    async def _commit(self, client: KafkaClient) -> None:
        wanted = self.sent = self.sent + 1
        self.unknown.add(wanted)
        partition = OffsetCommitRequestPartition(partition_index=self._partition, committed_offset=wanted)
        answer = await client.request(
            OffsetCommitRequest(
                group_id=self._group, topics=[OffsetCommitRequestTopic(name=self._topic, partitions=[partition])]
            ),
            version=8,
            expect=OffsetCommitResponse,
        )
        if answer.topics[0].partitions[0].error_code:
            self._coordinator = ""
        else:
            self.acknowledged = wanted
            self.unknown.discard(wanted)

    async def _look(self, client: KafkaClient) -> bool:
        """Whether there was an answer. Raises `HistoryError` if what was acknowledged is not there."""
        before = self.acknowledged
        topic = OffsetFetchRequestTopics(name=self._topic, partition_indexes=[self._partition])
        answer = await client.request(
            OffsetFetchRequest(
                groups=[OffsetFetchRequestGroup(group_id=self._group, topics=[topic])], require_stable=False
            ),
            version=8,
            expect=OffsetFetchResponse,
        )
        group = answer.groups[0]
        if group.error_code or group.topics[0].partitions[0].error_code:
            self._coordinator = ""
            return False
        found = group.topics[0].partitions[0].committed_offset
        if found < before and found not in self.unknown:
            if self._behind(self._group):
                self._coordinator = ""
                return False
            raise HistoryError(f"group {self._group}: offset {before} was committed, {found} is remembered")
        if found > self.sent:
            raise HistoryError(f"group {self._group}: offset {found} is remembered, which was never committed")
        return True
