"""The handlers of a node, put together: which part answers which API, and what is passed on to the controller; and
what gossip is told of the parts.

In: the parts, built and wired by `node.py`. Out: a handler by API key, a `Membership`. Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from sprawl import __version__
from sprawl.any_node import advertised, answer_for_all, find_offsets
from sprawl.config.broker import BrokerConfig, ReplicaSelector, Routing
from sprawl.handlers.api_versions import ApiVersionsHandlers
from sprawl.handlers.brokers import BrokerHandlers
from sprawl.handlers.cluster import ClusterHandlers
from sprawl.handlers.configs import ConfigHandlers
from sprawl.handlers.context import Handler, HandlerFamily
from sprawl.handlers.coordinators import Coordinators
from sprawl.handlers.envelope import EnvelopeHandlers, to_controller
from sprawl.handlers.fetch import FetchHandlers
from sprawl.handlers.group_admin import GroupAdminHandlers
from sprawl.handlers.groups import GroupHandlers
from sprawl.handlers.leader_hints import LeaderHints
from sprawl.handlers.log_offsets import LogOffsetHandlers
from sprawl.handlers.membership import MembershipHandlers
from sprawl.handlers.metadata import MetadataHandlers
from sprawl.handlers.offsets import OffsetHandlers
from sprawl.handlers.produce import ProduceHandlers
from sprawl.handlers.producers import ProducerHandlers, ProducerIdHandlers
from sprawl.handlers.quorum import QuorumHandlers
from sprawl.handlers.reassignments import ReassignmentHandlers
from sprawl.handlers.topics import TopicHandlers
from sprawl.load import Counts, LoadMeter
from sprawl.membership import Membership
from sprawl.overlay.digest import Digest
from sprawl.overlay.members import Member
from sprawl.partitions.fetch_sessions import FetchSessions
from sprawl.partitions.throttle import LeaderThrottle
from sprawl.parts import Parts
from sprawl.quorum.formation import Formation
from sprawl.quorum.image import ConfigKind
from sprawl.routing.endpoints import Endpoints
from sprawl.routing.nearest import NearestReplica
from sprawl.runtime import Runtime
from sprawl.security.access import AllowAll
from sprawl.transactions.producer_ids import ProducerIds
from sprawl_protocol.api import ApiKey

_SESSION_EVICTION_SECONDS: Final = 120.0
_BY_CONTROLLER: Final = (
    ApiKey.CREATE_TOPICS,
    ApiKey.DELETE_TOPICS,
    ApiKey.CREATE_PARTITIONS,
    ApiKey.ALTER_CONFIGS,
    ApiKey.INCREMENTAL_ALTER_CONFIGS,
    ApiKey.DESCRIBE_QUORUM,
    ApiKey.ALTER_PARTITION_REASSIGNMENTS,
    ApiKey.LIST_PARTITION_REASSIGNMENTS,
    ApiKey.ELECT_LEADERS,
    ApiKey.UNREGISTER_BROKER,
    ApiKey.ADD_RAFT_VOTER,
    ApiKey.REMOVE_RAFT_VOTER,
)
"""What clients may ask of any node, and the active controller answers."""
_OF_A_GROUP: Final = (
    ApiKey.JOIN_GROUP,
    ApiKey.SYNC_GROUP,
    ApiKey.HEARTBEAT,
    ApiKey.LEAVE_GROUP,
    ApiKey.OFFSET_COMMIT,
    ApiKey.OFFSET_DELETE,
)


def routes_of(
    parts: Parts, config: BrokerConfig, runtime: Runtime, served: Callable[[], Iterable[ApiKey]]
) -> dict[ApiKey, Handler]:
    """`served`: every API that the node answers, those of these routes among them."""
    clock, image, controller = runtime.clock, parts.image, parts.controller
    access = AllowAll()
    any_node = config.sprawl_routing is Routing.ANY
    endpoints = Endpoints(image, any_node=any_node, advertised=advertised(config))
    settled = parts.partitions.settled
    sessions = FetchSessions(config.max_incremental_fetch_session_cache_slots, _SESSION_EVICTION_SECONDS, runtime.rng)
    hints = LeaderHints(image, endpoints)
    by_rack = config.replica_selector_class is ReplicaSelector.RACK_AWARE
    fetch = FetchHandlers(
        parts.router,
        sessions,
        access,
        clock,
        config.fetch_max_bytes,
        parts.quorum.service,
        nearest=NearestReplica(parts.identity.node_id, image) if by_rack and not any_node else None,
        hints=hints,
        throttle=LeaderThrottle(
            parts.identity.node_id,
            lambda: parts.settings.broker(image()).leader_replication_throttled_rate,
            clock.monotonic,
        ),
    )
    routes: dict[ApiKey, Handler] = {}
    families: list[HandlerFamily] = [
        ApiVersionsHandlers(served, image, parts.identity.node_id, any_node=any_node),
        MetadataHandlers(parts.anywhere, parts.quorum, config, endpoints, access, settled),
        ClusterHandlers(parts.quorum, parts.logs, runtime.files, endpoints, access),
        TopicHandlers(controller, image, parts.settings, access, settled),
        ConfigHandlers(controller, image, parts.settings, access),
        ProduceHandlers(parts.router, access, clock.wall_ms, hints, lambda: parts.surely_active()),
        fetch,
        LogOffsetHandlers(parts.router, access),
        ProducerHandlers(ProducerIds(parts.anywhere.allocate_producer_ids), access),
        ProducerIdHandlers(controller),
        GroupHandlers(parts.groups.coordinator, Coordinators(parts.groups, image, endpoints), access),
        OffsetHandlers(parts.groups.coordinator, image, access, clock, lambda: parts.surely_active()),
        GroupAdminHandlers(parts.groups.coordinator, access),
        QuorumHandlers(parts.quorum.service),
        BrokerHandlers(controller),
        ReassignmentHandlers(controller, image, access),
        MembershipHandlers(controller, parts.quorum, access),
        EnvelopeHandlers(routes),
    ]
    for family in families:
        routes.update(family.routes())
    for key in _BY_CONTROLLER:
        routes[key] = to_controller(
            routes[key], lambda request: parts.quorum.leading or _of_this_node(request), parts.link
        )
    find_offsets(routes, parts, clock)
    if any_node:
        answer_for_all(routes, fetch, parts, clock, near=by_rack)
    return routes


def membership_of(
    parts: Parts,
    config: BrokerConfig,
    runtime: Runtime,
    secret: bytes,
    bind: tuple[str, int],
    here: tuple[str, int],
    counts: Callable[[], Counts],
) -> Membership:
    """`bind`: where packets come in; `here`: where others find this node; `counts`: what the process has cost."""
    identity, meter = parts.identity, LoadMeter()
    rack, host = config.broker_rack or "", config.sprawl_host
    me = Member(identity.node_id, identity.directory_id, *here, *here, rack, host, __version__)

    def load() -> Digest:
        led = (each for each in parts.partitions if each.insync is not None)
        sizes = (((each.topic_id, each.index), each.log.size_bytes) for each in led)
        return meter.look(runtime.clock.monotonic(), counts(), _free_bytes(runtime, config.data_dir), sizes)

    seeds = [(seed.host, seed.port) for seed in config.seeds]
    return Membership(
        runtime, me, identity.cluster_id, secret, bind, seeds, parts.quorum, parts.controller, parts.links, load
    )


def _free_bytes(runtime: Runtime, directory: str) -> int | None:
    try:
        return runtime.files.free_bytes(directory)
    except OSError:
        return None


def formation_routes(formation: Formation) -> dict[ApiKey, Handler]:
    """What a node answers before it belongs to a cluster."""
    return {**QuorumHandlers(formation).routes(), ApiKey.FETCH: lambda _, request: formation.fetch(request)}


def _of_this_node(request: Any) -> bool:
    """The levels of a node's own loggers are no metadata."""
    resources = getattr(request, "resources", ())
    return bool(resources) and all(each.resource_type == ConfigKind.BROKER_LOGGER for each in resources)
