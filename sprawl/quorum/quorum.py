"""The metadata quorum: who leads it, and what it has committed.

In: records to propose, on the leader. Out: the image, once they are committed, to whoever proposed and to whoever
subscribed, on every node. The protocol is KIP-595's with pre-votes (KIP-996) and voters that change (KIP-853):

    raft.py       decides          replica.py    carries out, in order      history.py   image and voters, by offset
    proposals.py  the leader's     following.py  a follower's log           serving.py   answers to other nodes
    canvass.py    among voters     snapshotting.py  when, and how           audience.py  who is told

Two images are kept. `image` holds what is committed, and is all that anybody but the controller may see. `proposed`
also holds what is still on its way: the controller decides on it, so that its decisions follow from each other.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from sprawl.config.identity import Identity
from sprawl.quorum.addresses import AddressBook
from sprawl.quorum.audience import Audience, Subscriber
from sprawl.quorum.batches import Control
from sprawl.quorum.canvass import PATIENCE, Canvass
from sprawl.quorum.description import QuorumDescription, describe
from sprawl.quorum.features import INITIAL, check_features
from sprawl.quorum.following import Follower, Peers
from sprawl.quorum.history import MetadataHistory, Step
from sprawl.quorum.identifiers import uuid_of
from sprawl.quorum.image import MetadataImage
from sprawl.quorum.metadata_log import MetadataLog, MetadataLogError
from sprawl.quorum.proposals import Proposals
from sprawl.quorum.raft import Follow, Lead, RaftTimeouts, StopLeading
from sprawl.quorum.records import FeatureLevelRecord, MetadataRecord, UnreadableRecordError
from sprawl.quorum.replica import QuorumReplica
from sprawl.quorum.serving import QuorumService
from sprawl.quorum.snapshots import Snapshot
from sprawl.quorum.snapshotting import SnapshotPolicy, Snapshotting
from sprawl.quorum.state import NOBODY, QuorumState, keep, state_in
from sprawl.quorum.voters import KRAFT_VERSION, Address, ReplicaKey, Voters
from sprawl.runtime import Clock, SmallState
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.messages import (
    KRaftVersionRecord,
    LeaderChangeMessage,
    Voter,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a quorum of several nodes needs."""

    peers: Peers
    addresses: AddressBook
    my_address: Callable[[], Address | None]
    rng: random.Random
    joining: bool
    """There is a cluster already, or another node founds it: with an empty log, wait to be told."""


class MetadataQuorum:
    def __init__(
        self,
        identity: Identity,
        metadata_log: MetadataLog,
        state: SmallState,
        clock: Clock,
        policy: SnapshotPolicy | None = None,
        surroundings: Surroundings | None = None,
        timeouts: RaftTimeouts | None = None,
    ) -> None:
        """Without `surroundings`: a quorum of one, for ever."""
        self._me = ReplicaKey(identity.node_id, uuid_of(identity.directory_id))
        self._log = metadata_log
        self._state = state
        self._clock = clock
        self._around = surroundings
        self._timeouts = timeouts or RaftTimeouts()
        self._history = MetadataHistory(identity.cluster_id)
        self._replica = QuorumReplica(identity.cluster_id, self._me, metadata_log, self._history, state, clock)
        self._proposals = Proposals(metadata_log, self._history, clock)
        addresses = AddressBook(self._me.node_id) if surroundings is None else surroundings.addresses
        my_address = _nowhere if surroundings is None else surroundings.my_address
        self.service = QuorumService(self._replica, addresses, my_address)
        self._follower: Follower | None = None
        if surroundings is not None:
            self._follower = Follower(
                self._replica, surroundings.peers, addresses, self._others, self._snapshot_installed, self._heard
            )
        self._canvass: Canvass | None = None
        if surroundings is not None:
            self._canvass = Canvass(self._replica, surroundings.peers, surroundings.my_address)
        self._snapshots = Snapshotting(metadata_log, self._history, clock, policy or SnapshotPolicy())
        self._audience = Audience()
        self._leadership: list[Callable[[bool], None]] = []
        self._failure: asyncio.Future[str] | None = None
        self._caught_up = asyncio.Event()
        self._in_charge = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    @property
    def image(self) -> MetadataImage:
        """What is committed."""
        return self._history.image

    @property
    def proposed(self) -> MetadataImage:
        """What will be committed if nothing fails: for deciding what to propose next, and for nothing else."""
        return self._proposals.proposed

    @property
    def node_id(self) -> int:
        return self._me.node_id

    @property
    def leading(self) -> bool:
        """Whether this node is the active controller, as far as it knows."""
        return self._replica.leading

    @property
    def leader_id(self) -> int:
        """NOBODY (-1) while none is known."""
        return self._replica.raft.leader_id if self._replica.started else NOBODY

    @property
    def epoch(self) -> int:
        return self._replica.raft.epoch if self._replica.started else 0

    @property
    def voters(self) -> Voters:
        """The newest in the log."""
        return self._history.voters

    @property
    def voters_settled(self) -> bool:
        return self._history.voters == self._history.committed_voters

    def subscribe(self, callback: Subscriber) -> None:
        """Called with the image before and after, whenever something was committed, in order, on the event loop."""
        self._audience.subscribe(callback)

    def witness(self, callback: Callable[[Step], None]) -> None:
        """Called for every batch that is committed from now on, before the subscribers hear of all of them together.
        What goes wrong in it is logged, and nothing more."""
        self._audience.witness(callback)

    async def until(self, holds: Callable[[MetadataImage], bool]) -> MetadataImage:
        """The first committed image that `holds`."""
        return self.image if holds(self.image) else await self._audience.until(holds)

    def on_leadership(self, callback: Callable[[bool], None]) -> None:
        """Called with True once this node leads and has committed everything it found; with False when it is over."""
        self._leadership.append(callback)
        if self._in_charge:
            callback(True)

    # Starting and stopping

    async def start(self) -> None:
        """Read what there is and take part. Alone, return once all of it is committed; else see `caught_up`.

        Raises `MetadataLogError`, `FeatureError` or `ApiError` if this node cannot go on from what is on its disk.
        """
        self._failure = asyncio.get_running_loop().create_future()
        loaded = await self._log.load()
        self._snapshots.started(loaded.bytes_replayed)
        state = state_in(self._state)
        if self._log.end_offset == 0:
            if state.begun:
                raise MetadataLogError(
                    f"the metadata log is empty, but this node has been in epoch {state.epoch}: its files are gone. "
                    "Restore them from a copy, or start with a new data directory. To go on would forget every topic"
                )
            founding = self._around is None or not self._around.joining
            self._history.restore(loaded.image, Voters({self._me: self._my_address()} if founding else {}))
        else:
            self._history.restore(loaded.image, loaded.voters)
        for batch in loaded.batches:
            self._history.take(batch)
        self._check_voters()
        check_features(self._history.newest().features)
        if self._log.last_epoch > state.epoch:
            # It followed a leader of that epoch, and died before that was kept: whom it knew of an older one is past.
            state = QuorumState(epoch=self._log.last_epoch, begun=state.begun)
            keep(self._state, state)
        self._listen()
        self._replica.start(state, self._timeouts, self._jitter)
        if self._follower is not None:
            self._spawn(self._follow(self._follower), "follow the metadata quorum")
        if self._replica.leading:
            await self._proposals.all_committed()

    def _listen(self) -> None:
        replica = self._replica
        replica.on_lead = self._lead
        replica.on_stop_leading = self._stop_leading
        replica.on_follow = self._follow_changed
        canvass = self._canvass
        if canvass is not None:  # a quorum of one asks nobody
            replica.on_ask = lambda asked: self._spawn(canvass.ask(asked), "ask for a vote")
            replica.on_announce = lambda to: self._spawn(canvass.announce(to), "announce an epoch")
        replica.on_commit = self._commit
        replica.on_failure = self._fail
        self._log.follow(self._log_advanced, self._log_rejected)

    def _jitter(self) -> float:
        return 0.0 if self._around is None else self._around.rng.random()

    def _my_address(self) -> Address | None:
        return None if self._around is None else self._around.my_address()

    def _check_voters(self) -> None:
        if self._around is None and self._history.voters.keys != {self._me}:
            told = ", ".join(f"{key.node_id} with directory {key.directory_id}" for key in self._history.voters.keys)
            raise MetadataLogError(
                f"the metadata log belongs to {told}, and this is node {self._me.node_id} with directory "
                f"{self._me.directory_id}. The directory was copied from another node, or its identity was lost: "
                "restore the identity, use a new directory, or name the other nodes of its cluster with --seeds"
            )

    async def caught_up(self) -> None:
        """Return once this node has everything that was committed when it first heard from a leader."""
        await self._caught_up.wait()

    async def stop(self) -> None:
        """Hand over the lead, refuse what is not written yet, wait for what is, leave a snapshot for a quick start."""
        if self._stopping:
            return
        self._stopping = True
        if self._replica.leading:
            await self._hand_over()
        self._proposals.close(_refused("this node is shutting down"))
        self._replica.stop()
        self.service.news()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._snapshots.settled()
        if self._failure is not None and not self._failure.done():
            await self._snapshots.write_at_stop()
            self._failure.cancel()

    async def _hand_over(self) -> None:
        last = self._proposals.all_committed()
        self._proposals.refuse(_refused("this node is shutting down"))
        try:
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(last, return_exceptions=True)
        except TimeoutError:
            log.warning("stopping without a majority: what was proposed last may be taken back")
        raft = self._replica.raft
        if self._canvass is None or not self._replica.leading or len(self.voters) == 1:
            return
        epoch, successors = raft.epoch, raft.successors()
        self._replica.decide(lambda raft, now: raft.resign("this node is shutting down", now))
        await self._canvass.give_up(epoch, successors)

    async def failed(self) -> str:
        """Returns, with the reason, when this node can no longer follow the metadata and must stop."""
        assert self._failure is not None, "start() comes first"
        return await asyncio.shield(self._failure)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Proposing

    def propose(self, records: Sequence[MetadataRecord]) -> asyncio.Future[MetadataImage]:
        """Commit `records`, all or none, behind everything proposed before. Await it for an image that holds them.

        They are in `proposed` at once. Without records: done once everything proposed before is committed.
        Raises `ApiError`, at once or when awaited: NOT_CONTROLLER if this node does not lead, or leads no more.
        """
        return self._proposals.propose(records)

    async def change_voters(self, voters: Voters) -> None:
        """Returns once committed. One change at a time, and none before this leader's epoch has begun (KIP-853).

        Raises `ApiError`.
        """
        raft = self._replica.raft
        if self._proposals.refusal is not None:
            raise self._proposals.refusal
        if not self.voters_settled or raft.high_watermark <= raft.epoch_start:
            raise ApiError(ErrorCode.REQUEST_TIMED_OUT, "Another change of the quorum is under way; try again.")
        assert len(voters.keys ^ self.voters.keys) <= 1, "voters change one at a time"
        await self._proposals.change_quorum([voters.to_record()])

    def has_caught_up(self, key: ReplicaKey, within: float) -> bool:
        """As leader: whether that replica had everything at some moment of the last `within` seconds."""
        progress = self._replica.raft.progress.get(key)
        now = self._clock.monotonic()
        return progress is not None and progress.end_offset >= 0 and now - progress.last_caught_up <= within

    @property
    def me(self) -> ReplicaKey:
        return self._me

    # What the machine wants done

    def _lead(self, lead: Lead) -> None:
        is_new = self._log.end_offset == 0
        controls: list[Control] = [
            # Kafka reads version 0 of this message and no other; the voters' directory ids stand in the voters record.
            LeaderChangeMessage(
                leader_id=self._me.node_id,
                voters=[Voter(voter_id=each) for each in self.voters.ids],
                granting_voters=[Voter(voter_id=each) for each in lead.granted_by],
            )
        ]
        if is_new:
            controls += [KRaftVersionRecord(k_raft_version=KRAFT_VERSION), self.voters.to_record()]
        log.info("this node leads the metadata quorum in epoch %d", lead.epoch)
        begun = self._proposals.open(lead.epoch, controls)
        if is_new:
            begun = self._proposals.propose(
                [FeatureLevelRecord(name=name, feature_level=level) for name, level in INITIAL.items()]
            )
        self._spawn(self._begun(begun, lead.epoch), "begin an epoch")

    async def _begun(self, begun: asyncio.Future[MetadataImage], epoch: int) -> None:
        try:
            await begun
        except ApiError as problem:
            reason = f"the epoch could not begin: {problem}"
            if self._replica.leading and self.epoch == epoch:
                self._replica.decide(lambda raft, now: raft.resign(reason, now))
            return
        if self._replica.leading and self.epoch == epoch:
            self._caught_up.set()
            self._in_charge = True
            for tell in self._leadership:
                tell(True)

    def _stop_leading(self, stop: StopLeading) -> None:
        log.info("this node no longer leads the metadata quorum: %s", stop.reason)
        self._proposals.close(_refused(f"node {self._me.node_id} no longer leads the metadata quorum: {stop.reason}"))
        self._in_charge = False
        for tell in self._leadership:
            tell(False)
        self.service.news()

    def _follow_changed(self, follow: Follow) -> None:
        if follow.leader_id != NOBODY:
            log.info("node %d leads the metadata quorum in epoch %d", follow.leader_id, follow.epoch)
        if not self._replica.leading:
            self._proposals.refuse(_refused(_where(follow.leader_id)))
        if self._follower is not None:
            self._follower.follow(follow)
        self.service.news()

    async def _follow(self, follower: Follower) -> None:
        try:
            await follower.run()
        except (UnreadableRecordError, ApiError, OSError) as problem:
            self._fail(f"this node cannot follow the metadata: {problem}")
        except Exception as problem:
            log.exception("following the metadata broke; this is a bug")
            self._fail(f"this node cannot follow the metadata: {problem!r}")

    def _others(self) -> list[int]:
        """Nodes that may know who leads."""
        around = self._around
        told = [] if around is None else list(around.addresses.told)
        return sorted({*self.voters.ids, *self.image.brokers, *told} - {self._me.node_id})

    def _heard(self, high_watermark: int) -> None:
        """The leader has answered, when that was committed."""
        if 0 < high_watermark <= self._replica.raft.high_watermark:
            self._caught_up.set()

    # Committing

    def _log_advanced(self) -> None:
        if self._check_failure() or not self._replica.started:
            return
        self._replica.decide(lambda raft, now: raft.advance())
        self._proposals.durable()
        self.service.news()

    def _log_rejected(self, first_offset: int, problem: ApiError) -> None:
        """The disk did not take what was appended: nothing from `first_offset` on is in the log."""
        self._proposals.rejected(first_offset, problem)
        if not self._check_failure() and self._replica.leading and len(self.voters) > 1:
            # Another node may have room: this one would refuse everything, and fence nobody.
            with contextlib.suppress(OSError):  # that the state was not kept was told, and this node fails
                self._replica.decide(lambda raft, now: raft.resign(f"what it appends is not taken: {problem}", now))

    def _commit(self, high_watermark: int) -> None:
        before, after = self._history.image, self._history.commit(high_watermark, self._audience.tell_witnesses)
        if after is not before:
            self._snapshots.committed()
            if self._log.durable_offset > 0:
                self._replica.note_begun()
            self._tell(before, after)
        self.service.news()
        self._snapshots.write_if_due()
        if self._replica.leading and self.voters_settled and self._me not in self.voters and len(self.voters):
            self._replica.decide(lambda raft, now: raft.resign("this node is no voter any more", now))

    def _tell(self, before: MetadataImage, after: MetadataImage) -> None:
        broken = self._audience.tell_subscribers(before, after)
        self._proposals.committed(after.offset + 1)
        self._audience.tell_who_waits(after)
        if broken:
            self._fail(broken)

    def _snapshot_installed(self, snapshot: Snapshot) -> None:
        before, after = MetadataImage(self._replica.cluster_id), self._history.image
        self._snapshots.installed()
        self._replica.note_begun()
        self._tell(before, after)

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
        self._proposals.close(ApiError(ErrorCode.KAFKA_STORAGE_ERROR, reason))
        self._replica.stop()
        self._failure.set_result(reason)

    # Telling

    def describe(self) -> QuorumDescription:
        """Only the leader knows the others' offsets; of them, others tell nothing."""
        return describe(self._replica.raft, self.voters, self._log.end_offset, self._clock)


def _refused(why: str) -> ApiError:
    return ApiError(ErrorCode.NOT_CONTROLLER, why)


def _where(leader_id: int) -> str:
    if leader_id == NOBODY:
        return "the metadata quorum has no leader at present; try again"
    return f"node {leader_id} is the controller"


def _nowhere() -> Address | None:
    return None
