"""Keeps this replica's metadata log the same as the leader's: fetch, check, append, make durable, fetch again.

One task for the replica's whole life, and the only one that cuts or replaces its log. While nobody is known to lead, it
asks around. An offset is fetched from only once everything below is on stable storage here: the leader counts on it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Protocol, TypeVar

from sprawl.quorum import requests
from sprawl.quorum.addresses import AddressBook
from sprawl.quorum.batches import read_batches
from sprawl.quorum.raft import Follow, Role
from sprawl.quorum.records import UnreadableRecordError
from sprawl.quorum.replica import QuorumReplica
from sprawl.quorum.snapshots import Snapshot, SnapshotId
from sprawl.quorum.state import NOBODY
from sprawl.quorum.voters import Address, Voters
from sprawl.wire.client import ClientError
from sprawl_protocol.errors import ApiError
from sprawl_protocol.message import Request, Response
from sprawl_protocol.messages import FetchRequest, FetchResponse, FetchSnapshotResponse, PartitionData

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Response)
T = TypeVar("T")

LANE: Final = "quorum"
_MAX_WAIT_MS: Final = 300
_FETCH_BYTES: Final = 8 * 1024 * 1024
_PATIENCE: Final = 1.0
"""Seconds for an answer, beyond what the request itself may wait."""
_PAUSE: Final = 0.05
"""Seconds between attempts that fail at once."""
_MAX_SNAPSHOT_BYTES: Final = 2 * 1024 * 1024 * 1024


class Peers(Protocol):
    """Links to the other nodes."""

    async def request(self, node_id: int, message: Request, *, expect: type[R], timeout: float, lane: str = "") -> R:
        """Raises `ClientError`."""
        ...

    async def request_at(
        self, host: str, port: int, message: Request, *, expect: type[R], timeout: float, lane: str = ""
    ) -> R:
        """The same, where the node's number is not known. Raises `ClientError`."""
        ...


class Follower:
    def __init__(
        self,
        replica: QuorumReplica,
        peers: Peers,
        addresses: AddressBook,
        others: Callable[[], list[int]],
        installed: Callable[[Snapshot], None],
        heard: Callable[[int], None],
    ) -> None:
        """`others`: nodes that may know who leads. `installed`: told that a snapshot has taken the log's place.
        `heard`: told the leader's high watermark, once what it sent is taken into account."""
        self._replica = replica
        self._peers = peers
        self._addresses = addresses
        self._others = others
        self._installed = installed
        self._heard = heard
        self._changed = asyncio.Event()
        self._asking: asyncio.Task[Any] | None = None
        self._next_guess = 0

    def follow(self, target: Follow) -> None:
        """Whom to follow has changed."""
        self._changed.set()
        if self._asking is not None:
            self._asking.cancel()

    async def run(self) -> None:
        """Raises what makes it impossible to go on: `UnreadableRecordError`, `ApiError`, `OSError`."""
        while True:
            self._changed.clear()
            raft = self._replica.raft
            if raft.role is Role.LEADER:
                await self._changed.wait()
            elif raft.leader_id == NOBODY:
                await self._ask_around()
            else:
                await self._fetch(raft.leader_id, raft.epoch)

    # -- who leads ------------------------------------------------------------------------------------------------

    async def _ask_around(self) -> None:
        """Ask one node after the other who leads. Voters find out by voting, too; others have no other way."""
        nodes = [each for each in self._others() if each != self._replica.me.node_id]
        guesses: list[int | Address] = [*nodes, *self._addresses.seeds]
        if guesses:
            guess = guesses[self._next_guess % len(guesses)]
            self._next_guess += 1
            request = self._request(max_wait_ms=0)
            try:
                if isinstance(guess, Address):
                    asked = self._peers.request_at(
                        guess.host, guess.port, request, expect=FetchResponse, timeout=_PATIENCE, lane=LANE
                    )
                else:
                    asked = self._peers.request(guess, request, expect=FetchResponse, timeout=_PATIENCE, lane=LANE)
                answer = await self._unless_changed(asked)
                if answer is not None:
                    self._note_leader(answer)
            except (ClientError, ApiError) as problem:
                log.debug("%s does not say who leads the metadata quorum: %s", guess, problem)
        await self._pause()

    def _note_leader(self, answer: FetchResponse) -> PartitionData:
        for endpoint in answer.node_endpoints:
            self._addresses.learn(endpoint.node_id, Address(endpoint.host, endpoint.port))
        data = requests.fetched(answer)
        leader = data.current_leader
        if leader.leader_epoch >= 0:
            self._replica.decide(lambda raft, now: raft.epoch_seen(leader.leader_epoch, leader.leader_id, now))
        return data

    # -- fetching ---------------------------------------------------------------------------------------------------

    async def _fetch(self, leader_id: int, epoch: int) -> None:
        request = self._request(max_wait_ms=_MAX_WAIT_MS)
        try:
            answer = await self._unless_changed(
                self._peers.request(
                    leader_id,
                    request,
                    expect=FetchResponse,
                    timeout=_MAX_WAIT_MS / 1000 + _PATIENCE,
                    lane=LANE,
                )
            )
            if answer is None:
                return
            data = self._note_leader(answer)
        except (ClientError, ApiError) as problem:
            log.debug("node %d, which leads the metadata quorum, does not answer: %s", leader_id, problem)
            await self._pause()
            return
        raft = self._replica.raft
        if (raft.role, raft.leader_id, raft.epoch) != (Role.FOLLOWER, leader_id, epoch):
            return
        if data.error_code:
            log.debug("node %d refuses a fetch of the metadata: error %d", leader_id, data.error_code)
            await self._pause()
            return
        if data.snapshot_id.epoch >= 0:
            await self._install(leader_id, epoch, SnapshotId(data.snapshot_id.end_offset, data.snapshot_id.epoch))
        elif data.diverging_epoch.epoch >= 0:
            await self._cut(data.diverging_epoch.epoch, data.diverging_epoch.end_offset)
        else:
            await self._append(data)
            self._replica.decide(lambda raft, now: raft.leader_heard(leader_id, epoch, data.high_watermark, now))
            self._heard(data.high_watermark)

    def _request(self, max_wait_ms: int) -> FetchRequest:
        replica = self._replica
        return requests.fetch_request(
            replica.cluster_id,
            replica.me,
            epoch=replica.raft.epoch,
            offset=replica.log.end_offset,
            last_epoch=replica.log.last_epoch if replica.log.end_offset else -1,
            high_watermark=replica.raft.high_watermark,
            max_wait_ms=max_wait_ms,
            max_bytes=_FETCH_BYTES,
        )

    async def _append(self, data: PartitionData) -> None:
        """Every batch is checked before it is taken. Raises `UnreadableRecordError`, `ApiError`."""
        if data.records is None or not len(data.records):
            return
        replica = self._replica
        batches = list(read_batches(data.records))
        expected = replica.log.end_offset
        if not batches or batches[0].base_offset != expected:
            log.error("the leader of the metadata quorum sent something else than what begins at %d", expected)
            await self._pause()
            return
        try:
            replica.log.append_replicated(data.records)
            for batch in batches:
                replica.history.take(batch)
            await self._while_mending(replica.log.make_durable())
        except ApiError as problem:
            if replica.log.failure is not None:
                raise
            replica.history.truncate(replica.log.end_offset)
            log.warning("the metadata cannot be written at present: %s", problem)
            await self._pause()

    async def _cut(self, epoch: int, end_offset: int) -> None:
        """This log goes on differently than the leader's: back to where they were the same (KIP-595)."""
        replica = self._replica
        found, end = replica.log.end_of_epoch(epoch)
        target = min(end, end_offset) if found == epoch else end
        target = max(target, replica.log.start_offset)
        assert target >= replica.raft.high_watermark, "what is committed is in every leader's log"
        log.info("the metadata log is cut from %d to %d: the leader's is different", replica.log.end_offset, target)
        replica.history.truncate(target)
        await self._while_mending(replica.log.truncate(target))

    async def _install(self, leader_id: int, epoch: int, wanted: SnapshotId) -> None:
        replica = self._replica
        data = bytearray()
        while True:
            request = requests.snapshot_request(replica.cluster_id, replica.me, epoch, wanted, len(data), _FETCH_BYTES)
            try:
                answer = await self._peers.request(
                    leader_id, request, expect=FetchSnapshotResponse, timeout=10 * _PATIENCE, lane=LANE
                )
                part = requests.snapshot_part(answer.topics[0].partitions if answer.topics else [])
            except (ClientError, ApiError) as problem:
                log.warning("no snapshot of the metadata from node %d: %s", leader_id, problem)
                await self._pause()
                return
            if not len(part.unaligned_records) or part.size > _MAX_SNAPSHOT_BYTES:
                raise UnreadableRecordError(f"a snapshot of {part.size} bytes, of which {len(data)} came")
            data += part.unaligned_records
            replica.decide(lambda raft, now: raft.leader_heard(leader_id, epoch, 0, now))
            if len(data) >= part.size:
                break
        snapshot = await self._while_mending(replica.log.install(bytes(data), wanted))
        replica.history.restore(snapshot.image, Voters.of_record(snapshot.voters))
        log.info("the metadata snapshot at offset %d has taken the place of the log", wanted.end_offset)
        self._installed(snapshot)

    # -- waiting ------------------------------------------------------------------------------------------------------

    async def _while_mending(self, work: Awaitable[T]) -> T:
        """The log is between two states: nothing that looks at it is decided meanwhile."""
        self._replica.mended.clear()
        try:
            return await work
        finally:
            self._replica.mended.set()

    async def _unless_changed(self, work: Coroutine[Any, Any, T]) -> T | None:
        """None if whom to follow has changed before there was an answer."""
        self._asking = asyncio.create_task(work)
        try:
            await asyncio.wait({self._asking})
            return None if self._asking.cancelled() else self._asking.result()
        finally:
            self._asking.cancel()
            self._asking = None

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(_PAUSE):
                await self._changed.wait()
        except TimeoutError:
            return
