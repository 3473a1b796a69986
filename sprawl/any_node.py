"""`sprawl.routing=any`, put together: the handlers of a node, wrapped so that they answer for all nodes.

In: the handlers, the parts. Out: the same routes, of which those that concern other nodes pass requests on. One of them
does so whatever the routing is: `find_offsets`.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from sprawl.config.broker import BrokerConfig
from sprawl.groups.log import TOPIC as OFFSETS_TOPIC
from sprawl.handlers.any_node import CoordinatorOf, PartitionSpread, Passing, everywhere, for_group, for_groups
from sprawl.handlers.any_node_brokers import for_brokers, log_dirs_of_all
from sprawl.handlers.any_node_fetch import AnyNodeFetch
from sprawl.handlers.context import Handler
from sprawl.handlers.fetch import FetchHandlers
from sprawl.handlers.offsets import ask_again
from sprawl.parts import Parts
from sprawl.routing.endpoints import Address
from sprawl.runtime import Clock
from sprawl_protocol.api import ApiKey

_BY_LEADER: Final = (
    ApiKey.PRODUCE,
    ApiKey.LIST_OFFSETS,
    ApiKey.DELETE_RECORDS,
    ApiKey.OFFSET_FOR_LEADER_EPOCH,
)
_OF_A_GROUP: Final = (
    ApiKey.JOIN_GROUP,
    ApiKey.SYNC_GROUP,
    ApiKey.HEARTBEAT,
    ApiKey.LEAVE_GROUP,
    ApiKey.OFFSET_COMMIT,
    ApiKey.OFFSET_DELETE,
)
_OF_GROUPS: Final = (ApiKey.DESCRIBE_GROUPS, ApiKey.DELETE_GROUPS)
_OF_BROKERS: Final = (ApiKey.DESCRIBE_CONFIGS, ApiKey.INCREMENTAL_ALTER_CONFIGS)
_MAY_WAIT: Final = (ApiKey.JOIN_GROUP, ApiKey.SYNC_GROUP)


def find_offsets(routes: dict[ApiKey, Handler], parts: Parts, clock: Clock) -> None:
    """Committed offsets are told by every node, and never refused for good because their coordinator is moving."""
    passing = Passing(parts.identity.node_id, parts.links, clock)
    found = for_groups(ApiKey.OFFSET_FETCH, routes[ApiKey.OFFSET_FETCH], _coordinator_of(parts), passing)
    routes[ApiKey.OFFSET_FETCH] = ask_again(found)


def answer_for_all(
    routes: dict[ApiKey, Handler], fetch: FetchHandlers, parts: Parts, clock: Clock, *, near: bool = False
) -> None:
    """Wrap `routes` in place. `near`: consumers may be given what this node has as a follower."""
    me = parts.identity.node_id
    passing, coordinator_of = Passing(me, parts.links, clock), _coordinator_of(parts)

    def leader_of(name: str, topic_id: UUID, index: int) -> int:
        image = parts.quorum.image
        topic = image.topics.get(name) if name else image.topics_by_id.get(topic_id)
        if topic is None or not 0 <= index < len(topic.partitions):
            return me
        return topic.partitions[index].leader

    def alive() -> list[int]:
        return [each.id for each in parts.quorum.image.brokers.values() if not each.fenced]

    for key in _BY_LEADER:
        routes[key] = PartitionSpread(key, routes[key], leader_of, passing).handle
    has = fetch.has if near else None
    routes[ApiKey.FETCH] = AnyNodeFetch(routes[ApiKey.FETCH], fetch.plan, leader_of, passing, has).handle
    for key in _OF_A_GROUP:
        routes[key] = for_group(routes[key], coordinator_of, passing, may_wait=key in _MAY_WAIT)
    for key in _OF_GROUPS:
        routes[key] = for_groups(key, routes[key], coordinator_of, passing)
    for key in _OF_BROKERS:
        routes[key] = for_brokers(key, routes[key], alive, passing)
    routes[ApiKey.DESCRIBE_LOG_DIRS] = log_dirs_of_all(routes[ApiKey.DESCRIBE_LOG_DIRS], alive, passing)
    routes[ApiKey.LIST_GROUPS] = everywhere(routes[ApiKey.LIST_GROUPS], alive, passing, "groups")


def _coordinator_of(parts: Parts) -> CoordinatorOf:
    def coordinator_of(group_id: str) -> int:
        partition = parts.groups.coordinator.partition_of(group_id)
        topic = parts.quorum.image.topics.get(OFFSETS_TOPIC)
        return parts.identity.node_id if partition is None or topic is None else topic.partitions[partition].leader

    return coordinator_of


def advertised(config: BrokerConfig) -> dict[str, Address]:
    """By listener, where an address for clients was given; the others' clients are told the one they came through."""
    if not config.advertised_listeners:
        return {}
    return {
        each.name: Address(each.advertised_host, each.advertised_port)
        for each in config.endpoints
        if each.advertised_port
    }
