"""The controller: the only place that decides what the metadata becomes.

In: wishes. Out: what came of each, once it is committed: the thing made, or an `ApiError`; one bad wish does not spoil
the others. The decisions themselves are the pure functions of `topic_changes.py`, `config_changes.py` and `brokers.py`;
here they are made one after the other on the newest proposed image, and their records are proposed at once, in the same
step of the event loop, so that nothing can come between.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar
from uuid import UUID

from sprawl.quorum import brokers, config_changes, damage, elections, leadership, reassignments, topic_changes
from sprawl.quorum.brokers import BrokerRegistration
from sprawl.quorum.config_changes import ConfigChange, ConfigTarget
from sprawl.quorum.delta import apply
from sprawl.quorum.elections import Election
from sprawl.quorum.heartbeats import Heartbeats
from sprawl.quorum.identifiers import new_uuid
from sprawl.quorum.image import MetadataImage, PartitionImage, TopicImage
from sprawl.quorum.isr_changes import IsrWish, alter_partition, check_leader_broker
from sprawl.quorum.leadership import TopicRules
from sprawl.quorum.placement import Placement, Spread
from sprawl.quorum.quorum import MetadataQuorum
from sprawl.quorum.reassignments import Reassignment
from sprawl.quorum.records import MetadataRecord, ProducerIdsRecord
from sprawl.quorum.settings import Settings
from sprawl.quorum.topic_changes import Ground, Limits, NewPartitions, NewTopic
from sprawl.quorum.voter_changes import VoterChanges
from sprawl.runtime import Runtime
from sprawl_protocol.errors import ApiError, ErrorCode

log = logging.getLogger(__name__)

PRODUCER_ID_BLOCK: Final = 1000
_SUSPECTED_BEATS: Final = 1.5
"""A broker that is suspected and silent for so many heartbeats' intervals is gone."""
W = TypeVar("W")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Heartbeat:
    broker_id: int
    broker_epoch: int
    metadata_offset: int
    """Of the last metadata record that the broker has taken into account."""
    wants_to_be_fenced: bool = False
    wants_to_leave: bool = False


@dataclass(frozen=True, slots=True)
class HeartbeatOutcome:
    caught_up: bool
    fenced: bool
    may_leave: bool


class Controller:
    def __init__(
        self,
        quorum: MetadataQuorum,
        settings: Settings,
        runtime: Runtime,
        placement: Placement | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._quorum = quorum
        self._settings = settings
        self._runtime = runtime
        self._placement = placement or Spread()
        self._limits = limits or Limits()
        session = settings.static.broker_session_timeout_ms / 1000
        beat = settings.static.broker_heartbeat_interval_ms / 1000
        self._heartbeats = Heartbeats(session, _SUSPECTED_BEATS * beat)
        self._check_interval = min(session / 20, beat / 4)
        self.voters = VoterChanges(
            quorum,
            runtime.clock,
            grace=settings.static.sprawl_quorum_voter_grace_ms / 1000,
            most=settings.static.sprawl_quorum_voters_max,
        )
        self._leaders_return_at = 0.0
        self._began = asyncio.Event()
        self._ready = False
        """This node leads the quorum, and has committed all that it found."""
        quorum.on_leadership(self._leadership_changed)

    # Topics

    async def create_topics(
        self, wishes: Sequence[NewTopic], *, validate_only: bool = False
    ) -> list[TopicImage | ApiError]:
        """In the order of `wishes`."""

        def decide(image: MetadataImage, wish: NewTopic) -> list[MetadataRecord]:
            return topic_changes.create_topic(
                self._ground(image), wish, new_uuid(self._runtime, taken=image.topics_by_id)
            )

        return await self._each(wishes, decide, lambda _, after, wish: after.topics[wish.name], validate_only)

    async def create_partitions(
        self, wishes: Sequence[NewPartitions], *, validate_only: bool = False
    ) -> list[TopicImage | ApiError]:
        def decide(image: MetadataImage, wish: NewPartitions) -> list[MetadataRecord]:
            return topic_changes.create_partitions(self._ground(image), wish)

        return await self._each(wishes, decide, lambda _, after, wish: after.topics[wish.topic], validate_only)

    async def delete_topics(self, topic_ids: Sequence[UUID]) -> list[TopicImage | ApiError]:
        """What is returned is each topic as it was."""
        return await self._each(
            topic_ids, topic_changes.delete_topic, lambda before, _, topic_id: before.topics_by_id[topic_id]
        )

    # Where partitions live, and who leads them

    async def reassign(self, wishes: Sequence[Reassignment]) -> list[ApiError | None]:
        """In the order of `wishes`. Done means begun: see `reassignments.under_way` for what is still moving."""

        def decide(image: MetadataImage, wish: Reassignment) -> list[MetadataRecord]:
            return reassignments.reassign(image, wish, self._rules_of)

        return await self._each(wishes, decide, lambda _, __, ___: None)

    async def elect_leaders(self, wishes: Sequence[Election]) -> list[ApiError | None]:
        """In the order of `wishes`."""

        def decide(image: MetadataImage, wish: Election) -> list[MetadataRecord]:
            return elections.elect(image, wish, self._rules_of)

        return await self._each(wishes, decide, lambda _, __, ___: None)

    # Settings

    async def incremental_alter_configs(
        self, wishes: Sequence[tuple[ConfigTarget, Sequence[ConfigChange]]], *, validate_only: bool = False
    ) -> list[ConfigTarget | ApiError]:
        def decide(image: MetadataImage, wish: tuple[ConfigTarget, Sequence[ConfigChange]]) -> list[MetadataRecord]:
            return config_changes.alter(image, self._settings.static, *wish)

        return await self._each(wishes, decide, lambda _, __, wish: wish[0], validate_only)

    async def alter_configs(
        self, wishes: Sequence[tuple[ConfigTarget, Mapping[str, str]]], *, validate_only: bool = False
    ) -> list[ConfigTarget | ApiError]:
        """Settings that are not named go back to their defaults."""

        def decide(image: MetadataImage, wish: tuple[ConfigTarget, Mapping[str, str]]) -> list[MetadataRecord]:
            return config_changes.replace_all(image, self._settings.static, *wish)

        return await self._each(wishes, decide, lambda _, __, wish: wish[0], validate_only)

    # Brokers and producers

    async def register_broker(self, registration: BrokerRegistration) -> int:
        """The broker's new epoch. It is fenced until a heartbeat shows that it has caught up. Raises `ApiError`."""
        self._check_leading()
        image = await self._quorum.propose(brokers.register(self._quorum.proposed, registration, self._rules_of))
        self._heartbeats.forget(registration.id)
        return image.brokers[registration.id].epoch

    async def unregister_broker(self, broker_id: int) -> None:
        """It is gone for good; a broker that is alive registers again. Raises `ApiError`."""
        await self._quorum.propose(brokers.unregister(self._quorum.proposed, broker_id, self._rules_of))
        self._heartbeats.forget(broker_id)

    async def heartbeat(self, beat: Heartbeat) -> HeartbeatOutcome:
        """A broker is alive; it may be unfenced, or let go. Raises `ApiError`."""
        self._check_leading()
        image = self._quorum.proposed
        broker = brokers.current(image, beat.broker_id, beat.broker_epoch)
        caught_up = beat.metadata_offset >= broker.epoch
        self._heartbeats.touch(broker.id, self._runtime.clock.monotonic())
        if beat.wants_to_leave and not broker.fenced:
            await self._quorum.propose(
                brokers.begin_shutdown(image, broker.id, broker.epoch, self._rules_of)
                if not broker.shutting_down
                else []
            )
        elif broker.fenced and caught_up and not beat.wants_to_be_fenced:
            await self._quorum.propose(brokers.unfence(image, broker.id, broker.epoch, self._rules_of))
        now = self._quorum.image.brokers.get(broker.id, broker)
        may_leave = beat.wants_to_leave and not leadership.leads_what_others_could(self._quorum.image, broker.id)
        return HeartbeatOutcome(caught_up=caught_up, fenced=now.fenced, may_leave=may_leave)

    async def alter_partitions(
        self, broker_id: int, broker_epoch: int, wishes: Sequence[IsrWish]
    ) -> list[PartitionImage | ApiError]:
        """Another in-sync set for each. In the order of `wishes`. Raises `ApiError` if nothing of it is considered."""
        self._check_leading()
        check_leader_broker(self._quorum.proposed, broker_id, broker_epoch)

        def decide(image: MetadataImage, wish: IsrWish) -> list[MetadataRecord]:
            return alter_partition(image, broker_id, wish, self._rules_of)

        def outcome(before: MetadataImage, after: MetadataImage, wish: IsrWish) -> PartitionImage:
            found = after.partition(wish.topic_id, wish.partition)
            assert found is not None, "it was there to decide upon"
            return found

        return await self._each(wishes, decide, outcome)

    async def assign_directories(
        self, broker_id: int, broker_epoch: int, wishes: Sequence[tuple[UUID, UUID, int]]
    ) -> list[ApiError | None]:
        """Which directory a broker's replicas are in: directory, topic, partition. Raises as `alter_partitions`."""
        self._check_leading()
        check_leader_broker(self._quorum.proposed, broker_id, broker_epoch)

        def decide(image: MetadataImage, wish: tuple[UUID, UUID, int]) -> list[MetadataRecord]:
            return damage.assign_directory(image, broker_id, *wish, self._rules_of)

        return await self._each(wishes, decide, lambda _, __, ___: None)

    def suspect(self, broker_id: int) -> None:
        """Nobody hears of it: it is fenced once a heartbeat is missing, without the rest of its session."""
        self._heartbeats.suspect(broker_id)

    def clear(self, broker_id: int) -> None:
        """It is heard of again."""
        self._heartbeats.clear(broker_id)

    async def run(self) -> None:
        """Fence whoever is not heard of, for as long as this node leads. Ends with the node."""
        while True:
            if not self._ready:
                self._began.clear()
                await self._began.wait()
                continue
            await self._fence_stale()
            await self.voters.tend()
            await self._return_leaders()
            await asyncio.sleep(self._check_interval)

    async def _fence_stale(self) -> None:
        now = self._runtime.clock.monotonic()
        for broker_id in self._heartbeats.stale(now):
            records = brokers.fence(self._quorum.proposed, broker_id, self._rules_of)
            self._heartbeats.forget(broker_id)
            if not records:
                continue
            log.warning("broker %d has not been heard of; it is fenced, and others lead what it led", broker_id)
            try:
                await self._quorum.propose(records)
            except ApiError as problem:
                log.warning("broker %d could not be fenced: %s", broker_id, problem)
                return

    async def _return_leaders(self) -> None:
        """Preferred leaders lead again, after failures and moves."""
        static, now = self._settings.static, self._runtime.clock.monotonic()
        if not static.auto_leader_rebalance_enable or now < self._leaders_return_at:
            return
        self._leaders_return_at = now + static.leader_imbalance_check_interval_seconds
        records = elections.return_leaders(self._quorum.proposed, self._rules_of)
        if not records:
            return
        log.info("%d partitions are led by their preferred leaders again", len(records))
        try:
            await self._quorum.propose(records)
        except ApiError as problem:
            log.warning("the preferred leaders do not lead yet: %s", problem)

    def _leadership_changed(self, leading: bool) -> None:
        self._ready = leading
        self._began.set()
        if leading:
            alive = [each.id for each in self._quorum.image.brokers.values() if not each.fenced]
            now = self._runtime.clock.monotonic()
            self._heartbeats.begin(alive, now)
            self._leaders_return_at = now + self._settings.static.leader_imbalance_check_interval_seconds
            self.voters.forget()

    def _check_leading(self) -> None:
        if not self._ready:
            raise ApiError(ErrorCode.NOT_CONTROLLER, "This node is not the controller.")

    def _rules_of(self, topic: TopicImage) -> TopicRules:
        config = self._settings.topic(self._quorum.proposed, topic.name)
        return TopicRules(config.min_insync_replicas, config.unclean_leader_election_enable)

    async def allocate_producer_ids(self, broker_id: int | None = None) -> tuple[int, int]:
        """A block of ids that nobody else gets: the first, and how many. Raises `ApiError`."""
        image = self._quorum.proposed
        first = image.next_producer_id
        if first > 2**63 - 1 - PRODUCER_ID_BLOCK:
            raise ApiError(ErrorCode.UNKNOWN_SERVER_ERROR, "All producer ids have been given out.")
        asking = self._quorum.node_id if broker_id is None else broker_id
        broker = image.brokers.get(asking)
        record = ProducerIdsRecord(
            broker_id=asking,
            broker_epoch=-1 if broker is None else broker.epoch,
            next_producer_id=first + PRODUCER_ID_BLOCK,
        )
        await self._quorum.propose([record])
        return first, PRODUCER_ID_BLOCK

    # How

    def _ground(self, image: MetadataImage) -> Ground:
        return Ground(image, self._settings.broker(image), self._placement, self._limits)

    async def _each(
        self,
        wishes: Sequence[W],
        decide: Callable[[MetadataImage, W], list[MetadataRecord]],
        outcome: Callable[[MetadataImage, MetadataImage, W], R],
        validate_only: bool = False,
    ) -> list[R | ApiError]:
        """Decide on one wish after the other, each on the image that the ones before lead to; commit them together.

        `outcome` is asked with the image before and after the wish.
        """
        results: list[R | ApiError] = []
        under_way: dict[int, asyncio.Future[MetadataImage]] = {}
        for number, wish in enumerate(wishes):
            before = self._quorum.proposed
            try:
                records = decide(before, wish)
                if validate_only:
                    after = apply(before, records, offset=before.offset + len(records))
                else:
                    under_way[number] = self._quorum.propose(records)
                    after = self._quorum.proposed
                results.append(outcome(before, after, wish))
            except ApiError as refusal:
                results.append(refusal)
        committed = await asyncio.gather(*under_way.values(), return_exceptions=True)
        for number, commit in zip(under_way, committed, strict=True):
            if isinstance(commit, ApiError):
                results[number] = commit
            elif isinstance(commit, BaseException):
                raise commit
        return results
