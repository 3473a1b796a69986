"""New partitions go to the nodes that take them; where these are too few the wish is refused, nothing else breaks."""

from __future__ import annotations

from uuid import UUID

import pytest

from sprawl.routing.placement import RingPlacement
from sprawl_protocol.errors import ApiError, ErrorCode
from tests.quorum.placed import at, placed

NEW = UUID(int=77)


def placement(drained: set[int], fenced: set[int] | None = None) -> tuple[RingPlacement, list[int]]:
    image = placed(at([1], 1, [1]), fenced=fenced or set())
    ring = RingPlacement(lambda: image, lambda broker: str(broker.id), lambda each: 0.0 if each in drained else 1.0)
    homes = ring.propose(NEW, range(6), 3, list(image.brokers.values()))
    return ring, sorted({each for nodes in homes for each in nodes})


def test_drained_nodes_are_given_nothing() -> None:
    assert placement({1, 2})[1] == [3, 4, 5, 6]


def test_with_too_few_nodes_left_the_topic_is_refused() -> None:
    with pytest.raises(ApiError, match="there are 2 that are not drained") as refused:
        placement({1, 2, 3, 4})
    assert refused.value.code is ErrorCode.INVALID_REPLICATION_FACTOR


def test_a_fenced_node_is_taken_where_the_others_are_drained() -> None:
    assert placement({1, 2, 3}, fenced={4})[1] == [4, 5, 6]
