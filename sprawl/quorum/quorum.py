"""The metadata quorum: who leads it, and what it has committed. A quorum of one node for now.

In: records to propose, on the leader. Out: the image, once they are committed, to whoever proposed and to whoever
subscribed. The shape is KIP-595's: each leader begins an epoch of its own with a control record, in an epoch it has
voted for on disk first; what earlier epochs left behind is committed along with that record; an offset is committed
once a majority of the voters has it on stable storage.

Two images are kept. `image` holds what is committed, and is all that anybody but the controller may see. `proposed`
also holds what is still on its way to the disk: the controller decides on it, so that its decisions follow from each
other; what cannot be written is taken back from it together with all that was proposed behind.

All that is proposed in one turn of the event loop, or while the disk is busy, is written as one batch and synced once.
The next batch is written only when the one before is durable: so a power failure finds one batch at most that may be
torn, and nothing behind it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from sprawl.config.identity import Identity
from sprawl.quorum.batches import Control, control_batch, data_batch
from sprawl.quorum.delta import apply
from sprawl.quorum.features import INITIAL, check_features
from sprawl.quorum.identifiers import uuid_of
from sprawl.quorum.image import MetadataImage
from sprawl.quorum.metadata_log import MetadataLog, MetadataLogError
from sprawl.quorum.records import FeatureLevelRecord, MetadataRecord
from sprawl.quorum.snapshots import KRAFT_VERSION, Snapshot
from sprawl.quorum.state import keep, state_in
from sprawl.runtime import Clock, SmallState
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.messages import (
    KRaftVersionRecord,
    LeaderChangeMessage,
    Voter,
    VotersRecord,
    VotersRecordKRaftVersionFeature,
    VotersRecordVoter,
)

log = logging.getLogger(__name__)

Subscriber = Callable[[MetadataImage, MetadataImage], None]
_BATCH_RECORDS: Final = 20_000
"""A batch takes no further proposal once it holds so many records."""


@dataclass(frozen=True, slots=True)
class SnapshotPolicy:
    """When a snapshot is due."""

    max_bytes: int = 20 * 1024 * 1024
    """Of records since the last one."""
    max_age_ms: int = 3_600_000
    """Of the oldest record that no snapshot holds; 0: no limit."""
    bytes_at_stop: int = 64 * 1024
    """A clean stop takes one if there are so many bytes to replay."""


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """One voter or observer, as the leader knows it."""

    node_id: int
    directory_id: UUID
    log_end_offset: int
    last_fetch_ms: int
    last_caught_up_ms: int


@dataclass(frozen=True, slots=True)
class QuorumDescription:
    leader_id: int
    epoch: int
    high_watermark: int
    voters: tuple[ReplicaState, ...]
    observers: tuple[ReplicaState, ...]


@dataclass(slots=True)
class _Proposal:
    """Either `records` or `controls`."""

    records: Sequence[MetadataRecord]
    controls: Sequence[Control]
    image: MetadataImage
    """As it will be with this proposal committed."""
    committed: asyncio.Future[MetadataImage]


def committed_offset(durable_offsets: Iterable[int]) -> int:
    """The greatest offset (exclusive) that a majority of the voters holds."""
    descending = sorted(durable_offsets, reverse=True)
    return descending[len(descending) // 2]


class MetadataQuorum:
    def __init__(
        self,
        identity: Identity,
        metadata_log: MetadataLog,
        state: SmallState,
        clock: Clock,
        policy: SnapshotPolicy | None = None,
    ) -> None:
        self._identity = identity
        self._log = metadata_log
        self._state = state
        self._clock = clock
        self._policy = policy or SnapshotPolicy()
        self._image = self._proposed = MetadataImage(identity.cluster_id)
        self._voters = VotersRecord()
        self._epoch = 0
        self._subscribers: list[Subscriber] = []
        self._unwritten: deque[_Proposal] = deque()
        self._written: list[_Proposal] = []
        """The batch that is on its way to the disk."""
        self._write_scheduled = False
        self._refusal: ApiError | None = _refused("the metadata quorum has not started yet")
        self._failure: asyncio.Future[str] | None = None
        self._unsnapped_bytes = 0
        self._unsnapped_since_ms = 0
        self._snapshot: asyncio.Task[None] | None = None

    @property
    def image(self) -> MetadataImage:
        """What is committed."""
        return self._image

    @property
    def proposed(self) -> MetadataImage:
        """What will be committed if nothing fails: for deciding what to propose next, and for nothing else."""
        return self._proposed

    @property
    def node_id(self) -> int:
        return self._identity.node_id

    def subscribe(self, callback: Subscriber) -> None:
        """Called with the image before and after, whenever something was committed, in order, on the event loop."""
        self._subscribers.append(callback)

    # Starting and stopping

    async def start(self) -> None:
        """Read what there is, take the lead, and return once all of it is committed.

        Raises `MetadataLogError`, `FeatureError` or `ApiError` if this node cannot go on from what is on its disk.
        """
        self._failure = asyncio.get_running_loop().create_future()
        loaded = await self._log.load()
        state = state_in(self._state)
        if loaded.voters is None and state.begun:
            raise MetadataLogError(
                f"the metadata log is empty, but this node has been in epoch {state.epoch}: its files are gone. "
                "Restore them from a copy, or start with a new data directory. To go on would forget every topic"
            )
        self._voters = loaded.voters or self._only_voter()
        self._check_voters()
        check_features(loaded.image.features)
        self._epoch = max(state.epoch, loaded.epoch) + 1
        state = state.voting_for(self._identity.node_id, self._identity.directory_id, self._epoch)
        keep(self._state, state)
        self._image = self._proposed = loaded.image
        self._unsnapped_bytes = loaded.bytes_replayed
        self._unsnapped_since_ms = self._clock.wall_ms()
        self._log.follow(self._log_advanced, self._take_back)
        await self._begin_epoch(is_new=loaded.voters is None)
        keep(self._state, replace(state.led_by(self._identity.node_id, self._epoch), begun=True))

    async def stop(self) -> None:
        """Refuse what is not written yet, wait for what is, and leave a snapshot for a quick start."""
        if self._refusal is None:
            self._refusal = _refused("this node is shutting down")
            await asyncio.gather(self._all_committed(), return_exceptions=True)
        if self._snapshot is not None:
            await asyncio.gather(self._snapshot, return_exceptions=True)
        if self._failure is not None and not self._failure.done() and self._image.offset >= 0:
            if self._unsnapped_bytes >= self._policy.bytes_at_stop:
                await self._take_snapshot()
            self._failure.cancel()

    async def failed(self) -> str:
        """Returns, with the reason, when this node can no longer follow the metadata and must stop."""
        assert self._failure is not None, "start() comes first"
        return await asyncio.shield(self._failure)

    # Proposing

    def propose(self, records: Sequence[MetadataRecord]) -> asyncio.Future[MetadataImage]:
        """Commit `records`, all or none, behind everything proposed before. Await it for an image that holds them.

        They are in `proposed` at once. Without records: done once everything proposed before is committed.
        Raises `ApiError`, at once or when awaited, if they are not committed here or if that cannot be known.
        """
        if self._refusal is not None:
            raise self._refusal
        if not records:
            return self._all_committed()
        offset = self._proposed.offset + len(records)
        return self._enqueue(records, (), apply(self._proposed, records, offset=offset, epoch=self._epoch))

    def _all_committed(self) -> asyncio.Future[MetadataImage]:
        last = next(reversed(self._unwritten or self._written), None)
        if last is not None:
            return asyncio.shield(last.committed)
        done: asyncio.Future[MetadataImage] = asyncio.get_running_loop().create_future()
        done.set_result(self._image)
        return done

    def _enqueue(
        self, records: Sequence[MetadataRecord], controls: Sequence[Control], image: MetadataImage
    ) -> asyncio.Future[MetadataImage]:
        proposal = _Proposal(records, controls, image, asyncio.get_running_loop().create_future())
        self._unwritten.append(proposal)
        self._proposed = image
        self._write_soon()
        return asyncio.shield(proposal.committed)  # it is committed even if its proposer gives up

    def _write_soon(self) -> None:
        if self._unwritten and not self._written and not self._write_scheduled:
            self._write_scheduled = True
            asyncio.get_running_loop().call_soon(self._write)

    def _write(self) -> None:
        """Hand what has gathered to the disk, as one batch."""
        self._write_scheduled = False
        if not self._unwritten or self._written:
            return
        batch = self._next_batch()
        try:
            base = self._log.append(batch, self._epoch)
        except ApiError as problem:
            self._take_back(problem)
            self._check_failure()
            return
        assert base == self._image.offset + 1, f"the metadata log is at {base}, its image at {self._image.offset}"
        self._unsnapped_bytes += len(batch)

    def _next_batch(self) -> bytearray:
        """Move proposals from `_unwritten` to `_written`; the batch that holds them."""
        first = self._unwritten.popleft()
        self._written = [first]
        base, now_ms = self._image.offset + 1, self._clock.wall_ms()
        if first.controls:
            return control_batch(first.controls, base, self._epoch, now_ms)
        records = list(first.records)
        while self._unwritten and not self._unwritten[0].controls and len(records) < _BATCH_RECORDS:
            proposal = self._unwritten.popleft()
            self._written.append(proposal)
            records += proposal.records
        return data_batch(records, base, self._epoch, now_ms)

    def _take_back(self, problem: ApiError) -> None:
        """Nothing of what is on its way is in the log, so nothing that was decided upon it is either.

        Its proposers may try again.
        """
        lost = [*self._written, *self._unwritten]
        self._written = []
        self._unwritten.clear()
        self._proposed = self._image
        for each in lost:
            _resolve(each.committed, problem)

    # Committing

    def _log_advanced(self) -> None:
        if self._check_failure():
            return
        if not self._written or self._written[-1].image.offset >= committed_offset([self._log.durable_offset]):
            return
        reached, self._written = self._written, []
        before, self._image = self._image, reached[-1].image
        for subscriber in self._subscribers:
            try:
                subscriber(before, self._image)
            except Exception as problem:
                log.exception("part of this node cannot follow the metadata")
                self._fail(f"part of this node cannot follow the metadata: {problem}")
        for each in reached:
            _resolve(each.committed, each.image)
        self._write_soon()
        self._snapshot_if_due()

    def _check_failure(self) -> bool:
        reason = self._log.failure
        if reason is not None:
            self._fail(f"the metadata log has failed: {reason}")
        return reason is not None

    def _fail(self, reason: str) -> None:
        """Nothing is known about what was under way; nothing more is taken on."""
        if self._failure is None or self._failure.done():
            return
        log.error("%s", reason)
        self._refusal = ApiError(ErrorCode.KAFKA_STORAGE_ERROR, reason)
        self._take_back(self._refusal)
        self._failure.set_result(reason)

    # Leading

    async def _begin_epoch(self, *, is_new: bool) -> None:
        """The control record that makes this node the leader, and commits what earlier epochs left."""
        me = self._identity.node_id
        controls: list[Control] = [
            # Kafka reads version 0 of this message and no other; the voters' directory ids stand in the voters record.
            LeaderChangeMessage(
                leader_id=me,
                voters=[Voter(voter_id=each.voter_id) for each in self._voters.voters],
                granting_voters=[Voter(voter_id=me)],
            )
        ]
        if is_new:
            controls += [KRaftVersionRecord(k_raft_version=KRAFT_VERSION), self._voters]
        base = self._image.offset + 1
        image = replace(self._image, controller_id=me, epoch=self._epoch, offset=base + len(controls) - 1)
        begun = self._enqueue((), controls, image)
        self._refusal = None
        if is_new:
            begun = self.propose(
                [FeatureLevelRecord(name=name, feature_level=level) for name, level in INITIAL.items()]
            )
        try:
            await begun
        except ApiError as problem:
            self._refusal = problem
            raise

    def _only_voter(self) -> VotersRecord:
        return VotersRecord(
            voters=[
                VotersRecordVoter(
                    voter_id=self._identity.node_id,
                    voter_directory_id=uuid_of(self._identity.directory_id),
                    k_raft_version_feature=VotersRecordKRaftVersionFeature(
                        min_supported_version=0, max_supported_version=KRAFT_VERSION
                    ),
                )
            ]
        )

    def _check_voters(self) -> None:
        me = (self._identity.node_id, uuid_of(self._identity.directory_id))
        voters = [(each.voter_id, each.voter_directory_id) for each in self._voters.voters]
        if voters != [me]:
            told = ", ".join(f"{voter} with directory {directory}" for voter, directory in voters)
            raise MetadataLogError(
                f"the metadata log belongs to {told}, and this is node {me[0]} with directory {me[1]}. The directory "
                "was copied from another node, or its identity was lost: restore the identity, or use a new directory"
            )

    def describe(self) -> QuorumDescription:
        """For the leader; a follower would not know the others' offsets."""
        now_ms = self._clock.wall_ms()
        return QuorumDescription(
            leader_id=self._identity.node_id,
            epoch=self._epoch,
            high_watermark=self._image.offset + 1,
            voters=tuple(
                ReplicaState(each.voter_id, each.voter_directory_id, self._log.end_offset, now_ms, now_ms)
                for each in self._voters.voters
            ),
            observers=(),
        )

    # Snapshots

    def _snapshot_if_due(self) -> None:
        policy = self._policy
        age_ms = self._clock.wall_ms() - self._unsnapped_since_ms
        due = self._unsnapped_bytes >= policy.max_bytes or 0 < policy.max_age_ms <= age_ms
        if due and (self._snapshot is None or self._snapshot.done()):
            self._snapshot = asyncio.create_task(self._take_snapshot(), name="metadata snapshot")

    async def _take_snapshot(self) -> None:
        """A failure is logged and leaves the log as long as it is; the next commit tries again."""
        image, size = self._image, self._unsnapped_bytes
        try:
            written = await self._log.write_snapshot(Snapshot(image, self._voters))
        except (OSError, ApiError) as problem:
            log.warning("no metadata snapshot at offset %d: %s", image.offset + 1, problem)
            return
        self._unsnapped_bytes -= size
        self._unsnapped_since_ms = self._clock.wall_ms()
        log.info("metadata snapshot at offset %d, epoch %d: %d bytes", image.offset + 1, image.epoch, written)


def _resolve(future: asyncio.Future[MetadataImage], result: MetadataImage | ApiError) -> None:
    """Whoever waited may have given up."""
    if future.done():
        return
    if isinstance(result, ApiError):
        future.set_exception(result)
    else:
        future.set_result(result)


def _refused(why: str) -> ApiError:
    return ApiError(ErrorCode.NOT_CONTROLLER, why)
