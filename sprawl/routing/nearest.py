"""Which replica a consumer had best read from: one in its own rack, if there is one (KIP-392).

In: a partition that this node leads, where the consumer is and from which offset it reads. Out: the id of an in-sync
follower, or none: the leader itself. Of several followers in the rack the one that has most is chosen.

Only with `sprawl.routing=direct`: behind one address for all nodes a consumer cannot choose, and one that was sent from
replica to replica unknowingly would take an offset that one of them does not have yet for one that does not exist.
"""

from __future__ import annotations

from collections.abc import Callable

from sprawl.partitions.partition import Partition
from sprawl.quorum.image import MetadataImage


class NearestReplica:
    def __init__(self, node_id: int, image: Callable[[], MetadataImage]) -> None:
        self._node_id = node_id
        self._image = image

    def of(self, partition: Partition, rack: str, offset: int) -> int | None:
        """None: this node, the leader. `rack`: the consumer's; empty: it did not say."""
        brokers, insync = self._image().brokers, partition.insync
        me = brokers.get(self._node_id)
        if not rack or insync is None or (me is not None and me.rack == rack):
            return None
        best, most = None, offset - 1
        for follower, state in sorted(insync.followers.items()):
            broker = brokers.get(follower)
            near = broker is not None and broker.active and broker.rack == rack
            if near and follower in insync.isr and state.end_offset > most:
                best, most = follower, state.end_offset
        return best
