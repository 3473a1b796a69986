"""The parts of a node that its handlers call: what there is, and how one part is tied to another.

In: who the node is, its settings, and what stands below: logs, the metadata quorum, links to other nodes. Out: `Parts`,
none of which has begun to work; `node.py` starts and stops them. Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sprawl.config.broker import BrokerConfig
from sprawl.config.identity import Identity
from sprawl.groups.log import TOPIC as OFFSETS_TOPIC
from sprawl.groups.service import GroupService
from sprawl.groups.settings import GroupSettings
from sprawl.partitions.fetcher import FetchPace
from sprawl.partitions.fetchers import ReplicaFetchers
from sprawl.partitions.isr_keeper import IsrKeeper
from sprawl.partitions.manager import PartitionManager
from sprawl.partitions.repair import Repair
from sprawl.partitions.throttle import ReplicationThrottle
from sprawl.quorum.addresses import host_label
from sprawl.quorum.any_controller import AnyController
from sprawl.quorum.controller import Controller
from sprawl.quorum.controller_link import ControllerLink, ServeHere
from sprawl.quorum.image import INTERNAL_TOPICS, METADATA_TOPIC, MetadataImage
from sprawl.quorum.quorum import MetadataQuorum
from sprawl.quorum.settings import Settings
from sprawl.routing.caretaker import Caretaker
from sprawl.routing.event_topic import EventTopic
from sprawl.routing.events import EventLog
from sprawl.routing.healing import Healing, weight_of
from sprawl.routing.keyed_log import KeyedLog
from sprawl.routing.placement import RingPlacement
from sprawl.routing.router import Router
from sprawl.runtime import Runtime
from sprawl.storage.cleaner import Cleaner, CleanerSettings
from sprawl.storage.manager import LogManager
from sprawl.storage.scrubber import Scrubber, ScrubSettings
from sprawl.tiering import Tiering
from sprawl.wire.peers import PeerLinks


@dataclass(slots=True)
class Parts:
    """What the handlers call, once it is built."""

    identity: Identity
    logs: LogManager
    cleaner: Cleaner
    scrubber: Scrubber
    quorum: MetadataQuorum
    settings: Settings
    controller: Controller
    anywhere: AnyController
    link: ControllerLink
    links: PeerLinks
    partitions: PartitionManager
    isr_keeper: IsrKeeper
    repair: Repair
    events: EventLog
    caretaker: Caretaker
    router: Router
    groups: GroupService
    tiering: Tiering | None
    broker_epoch: Callable[[], int] = lambda: -1
    """Of this node's present registration."""
    surely_active: Callable[[], bool] = lambda: False
    """Whether nobody else can lead yet what this node leads."""

    def image(self) -> MetadataImage:
        return self.quorum.image


def build(
    identity: Identity,
    config: BrokerConfig,
    runtime: Runtime,
    logs: LogManager,
    quorum: MetadataQuorum,
    links: PeerLinks,
    serve_here: ServeHere,
) -> Parts:
    """`serve_here` answers what this node asks of itself."""
    node_id = identity.node_id
    settings, weight = Settings(config, node_id), config.sprawl_weight
    placement = RingPlacement(
        lambda: quorum.proposed, host_label, lambda broker: weight_of(quorum.proposed, broker, weight)
    )
    controller = Controller(quorum, settings, runtime, placement)
    link = ControllerLink(quorum, links, serve_here, runtime.clock)
    anywhere = AnyController(quorum, controller, link)

    tiering: Tiering | None = None
    if config.remote_log_storage_system_enable:
        tiering = Tiering(config, identity, runtime, quorum, anywhere, links, serve_here, lambda: partitions)
        logs.tiered_until = tiering.tiered_until

    def broker_epoch_of(broker_id: int) -> int | None:
        broker = quorum.image.brokers.get(broker_id)
        return broker.epoch if broker is not None and broker.active else None

    throttle = ReplicationThrottle(
        node_id,
        lambda: settings.broker(quorum.image).follower_replication_throttled_rate,
        runtime.clock.monotonic,
        config.sprawl_rebuild_bytes_per_second,
    )
    fetchers = ReplicaFetchers(node_id, links, runtime.clock, lambda: parts.broker_epoch(), throttle, _pace(config))
    partitions = PartitionManager(
        node_id,
        logs,
        runtime.clock,
        settings.topic,
        kept=frozenset({METADATA_TOPIC}),
        cold=None if tiering is None else tiering.cold,
        fetchers=fetchers,
        isr_due=lambda partition: parts.isr_keeper.due(partition),
        damaged=lambda: repair.due(),
    )
    repair = Repair(
        node_id,
        lambda: partitions,
        partitions.counted_on_in_vain,
        link.assign_directories,
        lambda: parts.broker_epoch(),
    )
    logs.high_watermark_of = partitions.high_watermark_of
    scrubber = Scrubber(
        ScrubSettings(config.sprawl_scrub_interval_ms, config.sprawl_scrub_bytes_per_second),
        runtime.clock,
        lambda: [each for each in logs.logs if each.topic != METADATA_TOPIC],
    )
    cleaner = Cleaner(
        _cleaning(config),
        runtime.clock,
        lambda: [each for each in logs.logs if each.topic not in INTERNAL_TOPICS],
        partitions.high_watermark_of,
    )
    isr_keeper = IsrKeeper(
        node_id,
        lambda: partitions,
        link.alter_partition,
        broker_epoch_of,
        config.replica_lag_time_max_ms / 1000,
    )
    router = Router(node_id, partitions, lambda: quorum.image)
    groups = GroupService(
        runtime,
        GroupSettings.of(config),
        node_id,
        KeyedLog(OFFSETS_TOPIC, router, runtime.clock),
        lambda: quorum.image,
        partitions.settled,
        anywhere.make_topic,
    )
    if tiering is not None:
        tiering.group_records = groups.records
    topic = EventTopic(quorum, anywhere, links, serve_here, runtime.clock)
    events = EventLog(runtime, quorum, topic, weight)
    quorum.witness(events.witness)

    def healing() -> Healing:
        return Healing(
            host_label,
            grace=config.sprawl_rebuild_grace_ms / 1000,
            step=config.sprawl_weight_ramp_step_ms / 1000,
            at_once=config.sprawl_rebuild_partitions_max,
            weight=weight,
        )

    parts = Parts(
        identity=identity,
        logs=logs,
        cleaner=cleaner,
        scrubber=scrubber,
        quorum=quorum,
        settings=settings,
        controller=controller,
        anywhere=anywhere,
        link=link,
        links=links,
        partitions=partitions,
        isr_keeper=isr_keeper,
        repair=repair,
        events=events,
        caretaker=Caretaker(quorum, controller, healing, events, runtime.clock),
        router=router,
        groups=groups,
        tiering=tiering,
    )
    return parts


def _cleaning(config: BrokerConfig) -> CleanerSettings:
    return CleanerSettings(
        enabled=config.log_cleaner_enable,
        backoff=config.log_cleaner_backoff_ms / 1000,
        memory_bytes=config.log_cleaner_dedupe_buffer_size,
        bytes_per_second=config.log_cleaner_io_max_bytes_per_second,
    )


def _pace(config: BrokerConfig) -> FetchPace:
    return FetchPace(
        max_wait_ms=config.replica_fetch_wait_max_ms,
        min_bytes=config.replica_fetch_min_bytes,
        max_bytes=config.replica_fetch_response_max_bytes,
        partition_max_bytes=config.replica_fetch_max_bytes,
        backoff=config.replica_fetch_backoff_ms / 1000,
    )
