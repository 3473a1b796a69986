"""Which brokers should hold a partition. A proposal only: the controller commits it, and only then is it a fact.

In: partitions without a home, the replicas each must have, the brokers there are. Out: brokers for each, the preferred
leader first. `Placement` is what the controller asks; `Spread` answers for clusters whose brokers are all alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from sprawl.quorum.image import BrokerImage
from sprawl_protocol.errors import ApiError, ErrorCode


class Placement(Protocol):
    def propose(
        self, topic_id: UUID, partitions: range, replication_factor: int, brokers: Sequence[BrokerImage]
    ) -> list[tuple[int, ...]]:
        """One tuple of broker ids for each of `partitions`, different brokers in each, the preferred leader first.

        Raises `ApiError(INVALID_REPLICATION_FACTOR)` if that many replicas cannot be placed.
        """
        ...


class Spread:
    """One broker after the other, from a place that depends on the topic."""

    def propose(
        self, topic_id: UUID, partitions: range, replication_factor: int, brokers: Sequence[BrokerImage]
    ) -> list[tuple[int, ...]]:
        candidates = placeable(brokers, replication_factor)
        start = topic_id.int % len(candidates)
        return [
            tuple(candidates[(start + index + step) % len(candidates)].id for step in range(replication_factor))
            for index in partitions
        ]


def placeable(brokers: Sequence[BrokerImage], replication_factor: int) -> list[BrokerImage]:
    """The brokers that can be given replicas, in order of their ids. Raises `ApiError` if there are too few."""
    candidates = sorted((each for each in brokers if not each.shutting_down), key=lambda broker: broker.id)
    unable = f"Unable to replicate the partition {replication_factor} time(s)"
    if not any(each.active for each in candidates):
        raise ApiError(
            ErrorCode.INVALID_REPLICATION_FACTOR, f"{unable}: all brokers are fenced or shutting down. Try again later."
        )
    if replication_factor > len(candidates):
        raise ApiError(
            ErrorCode.INVALID_REPLICATION_FACTOR,
            f"{unable}: only {len(candidates)} broker(s) are registered. "
            f"Ask for a replication factor of at most {len(candidates)}, or add brokers.",
        )
    return candidates
