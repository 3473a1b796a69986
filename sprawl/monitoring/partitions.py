"""The partitions that this node holds, as Kafka's brokers and kafka_exporter tell of theirs.

In: partitions, read when somebody asks. Out: metrics. What belongs to a partition is told by the node that leads it,
and by no other, so that sums over all nodes come out right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from sprawl.observability.metrics import Gauge, Registry, Rows
from sprawl.partitions.partition import Partition
from sprawl.quorum.image import MetadataImage, PartitionImage

_LABELS = ("topic", "partition")


class PartitionMetrics:
    def __init__(
        self,
        registry: Registry,
        node_id: int,
        partitions: Callable[[], Iterable[Partition]],
        image: Callable[[], MetadataImage],
    ) -> None:
        self._partitions = partitions
        self._image = image
        self._node_id = node_id
        broker = "kafka_server_replicamanager_"
        registry.gauge(f"{broker}partitioncount", "Replicas on this node.", lambda: self._count(lambda _: True))
        registry.gauge(f"{broker}leadercount", "Partitions led here.", lambda: self._count(_leading))
        registry.gauge(
            f"{broker}underreplicatedpartitions", "Led here, and some replica is not in sync.", self.under_replicated
        )
        registry.gauge(
            f"{broker}underminisrpartitioncount",
            "Led here, with fewer replicas in sync than min.insync.replicas.",
            self.under_min_isr,
        )
        registry.gauge(
            f"{broker}atminisrpartitioncount",
            "Led here, with just as many in sync as min.insync.replicas.",
            lambda: self._count(lambda each: each.leading and _spare(each) == 0),
        )
        registry.gauge(
            f"{broker}offlinereplicacount", "Replicas of this node that do not open or are damaged.", self.offline
        )
        for name, text, of in (
            ("kafka_cluster_partition_replicascount", "Replicas.", lambda each, kept: len(kept.replicas)),
            ("kafka_cluster_partition_insyncreplicascount", "Replicas in sync.", lambda each, kept: len(_isr(each))),
            ("kafka_cluster_partition_underminisr", "1: too few in sync.", lambda each, _: _spare(each) < 0),
            ("kafka_cluster_partition_atminisr", "1: just enough in sync.", lambda each, _: _spare(each) == 0),
            ("kafka_topic_partition_current_offset", "Where the next committed record goes.", _high_watermark),
            ("kafka_topic_partition_oldest_offset", "The oldest record.", lambda each, _: each.log.log_start_offset),
            ("kafka_topic_partition_in_sync_replica", "Replicas in sync.", lambda each, _: len(_isr(each))),
            ("kafka_topic_partition_leader", "The leader's node id.", lambda each, _: each.leader),
            (
                "kafka_topic_partition_leader_is_preferred",
                "1: the first of its replicas leads.",
                lambda each, kept: kept.replicas[:1] == (each.leader,),
            ),
            ("kafka_topic_partition_replicas", "Replicas.", lambda each, kept: len(kept.replicas)),
            (
                "kafka_topic_partition_under_replicated_partition",
                "1: some replica is not in sync.",
                lambda each, kept: len(_isr(each)) < len(kept.replicas),
            ),
        ):
            registry.table(Gauge.KIND, name, text, _LABELS, self._led(of))
        for name, text, of_log in (
            ("kafka_log_log_size", "Bytes on this node's disk.", lambda each: each.log.size_bytes),
            ("kafka_log_log_logendoffset", "Where the next record goes.", lambda each: each.log.log_end_offset),
            ("kafka_log_log_logstartoffset", "The oldest record there is.", lambda each: each.log.log_start_offset),
            ("kafka_log_log_numlogsegments", "Files of records.", lambda each: len(each.log.segments)),
        ):
            registry.table(Gauge.KIND, name, text, _LABELS, self._held(of_log))

    def under_replicated(self) -> int:
        return sum(len(_isr(each)) < len(kept.replicas) for each, kept in self._led_here())

    def under_min_isr(self) -> int:
        return self._count(lambda each: each.leading and _spare(each) < 0)

    def offline(self) -> int:
        here = {(each.topic_id, each.index) for each in self._partitions() if each.log.damaged is None}
        mine = (
            (topic.id, partition.index)
            for topic in self._image().topics.values()
            for partition in topic.partitions
            if self._node_id in partition.replicas
        )
        return sum(key not in here for key in mine)

    def _count(self, holds: Callable[[Partition], bool]) -> int:
        return sum(1 for each in self._partitions() if holds(each))

    def _led_here(self) -> Iterator[tuple[Partition, PartitionImage]]:
        image = self._image()
        for each in self._partitions():
            kept = image.partition(each.topic_id, each.index) if each.leading else None
            if kept is not None:
                yield each, kept

    def _led(self, of: Callable[[Partition, PartitionImage], float]) -> Callable[[], Rows]:
        return lambda: (((each.topic, str(each.index)), of(each, kept)) for each, kept in self._led_here())

    def _held(self, of: Callable[[Partition], float]) -> Callable[[], Rows]:
        return lambda: (((each.topic, str(each.index)), of(each)) for each in self._partitions())


def _leading(partition: Partition) -> bool:
    return partition.leading


def _isr(partition: Partition) -> tuple[int, ...]:
    return () if partition.insync is None else partition.insync.isr


def _spare(partition: Partition) -> int:
    """How many replicas may leave the in-sync set before producers are refused."""
    return len(_isr(partition)) - partition.min_isr


def _high_watermark(partition: Partition, _: PartitionImage) -> int:
    return partition.high_watermark
