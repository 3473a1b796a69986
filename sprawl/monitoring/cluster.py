"""The cluster and its metadata quorum, as one node sees them.

In: the metadata image and the quorum, read when somebody asks. Out: metrics. What is said of the whole cluster is said
by the active controller only, so that sums over all nodes come out right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sprawl.observability.metrics import Gauge, Registry, Rows
from sprawl.quorum.image import MetadataImage
from sprawl.quorum.quorum import MetadataQuorum

CURRENT_MS: Final = 10_000
"""A voter that caught up longer ago than this is of no help if another one fails."""


class ClusterMetrics:
    def __init__(self, registry: Registry, quorum: MetadataQuorum, now_ms: Callable[[], int]) -> None:
        self._quorum = quorum
        self._now_ms = now_ms
        controller = "kafka_controller_kafkacontroller_"
        registry.gauge(f"{controller}activecontrollercount", "1 on the controller.", lambda: int(quorum.leading))
        for name, text, count in (
            ("offlinepartitionscount", "Partitions without a leader.", offline),
            ("globaltopiccount", "Topics.", lambda image: len(image.topics)),
            ("globalpartitioncount", "Partitions.", lambda image: image.partition_count),
            ("activebrokercount", "Nodes that are active.", lambda image: len(_active(image))),
            ("fencedbrokercount", "Nodes that are fenced.", lambda image: len(image.brokers) - len(_active(image))),
            ("preferredreplicaimbalancecount", "Partitions not led by their first replica.", _imbalanced),
        ):
            told = f"{text} (On the controller; 0 elsewhere.)"
            registry.gauge(f"{controller}{name}", told, self._by_controller(count))
        registry.gauge(
            "sprawl_moves_under_way", "Partitions being moved. (On the controller.)", self._by_controller(moving)
        )
        registry.table(Gauge.KIND, "kafka_brokers", "Nodes that are active.", (), self._rows(_brokers))
        registry.table(
            Gauge.KIND, "kafka_broker_info", "1 for each active node.", ("id", "address"), self._rows(_broker_info)
        )
        registry.table(
            Gauge.KIND, "kafka_topic_partitions", "Partitions of a topic.", ("topic",), self._rows(_topic_partitions)
        )
        registry.gauge("sprawl_quorum_voters", "Voters of the metadata quorum.", lambda: len(self._quorum.voters))
        registry.table(
            Gauge.KIND, "sprawl_quorum_margin", "Voters that may fail before metadata stands still.", (), self._margin
        )
        raft = "kafka_server_raftmetrics_"
        registry.gauge(f"{raft}current_epoch", "The quorum's epoch.", lambda: quorum.epoch)
        registry.gauge(f"{raft}current_leader", "Who leads the quorum; -1: unknown.", lambda: quorum.leader_id)
        registry.gauge(
            f"{raft}high_watermark", "Where committed metadata ends.", lambda: quorum.describe().high_watermark
        )
        registry.gauge(f"{raft}log_end_offset", "Where the next metadata record goes.", self._end_offset)
        registry.table(Gauge.KIND, f"{raft}current_state", "1, with this node's role.", ("current_state",), self._state)

    def margin(self) -> int | None:
        """How many voters may fail before there is no majority; None on nodes that do not lead, and cannot tell."""
        if not self._quorum.leading:
            return None
        voters = self._quorum.describe().voters
        current = sum(self._now_ms() - each.last_caught_up_ms <= CURRENT_MS for each in voters)
        return current - (len(voters) // 2 + 1)

    def leaderless(self) -> int:
        """On the controller; 0 elsewhere."""
        return offline(self._quorum.image) if self._quorum.leading else 0

    def _end_offset(self) -> int:
        described = self._quorum.describe()
        mine = (each.log_end_offset for each in described.voters if each.node_id == self._quorum.node_id)
        return next(mine, described.high_watermark)

    def _margin(self) -> Rows:
        margin = self.margin()
        return [] if margin is None else [((), margin)]

    def _state(self) -> Rows:
        voter = self._quorum.node_id in self._quorum.voters.ids
        yield ("leader" if self._quorum.leading else "follower" if voter else "observer",), 1

    def _by_controller(self, count: Callable[[MetadataImage], float]) -> Callable[[], float]:
        return lambda: count(self._quorum.image) if self._quorum.leading else 0

    def _rows(self, rows: Callable[[MetadataImage], Rows]) -> Callable[[], Rows]:
        return lambda: rows(self._quorum.image) if self._quorum.leading else []


def offline(image: MetadataImage) -> int:
    return sum(each.leader < 0 for topic in image.topics.values() for each in topic.partitions)


def moving(image: MetadataImage) -> int:
    partitions = (each for topic in image.topics.values() for each in topic.partitions)
    return sum(bool(each.adding_replicas or each.removing_replicas) for each in partitions)


def _imbalanced(image: MetadataImage) -> int:
    return sum(each.replicas[:1] != (each.leader,) for topic in image.topics.values() for each in topic.partitions)


def _active(image: MetadataImage) -> list[int]:
    return [each.id for each in image.brokers.values() if each.active]


def _brokers(image: MetadataImage) -> Rows:
    return [((), len(_active(image)))]


def _broker_info(image: MetadataImage) -> Rows:
    return [((str(each.id), f"{each.host}:{each.port}"), 1) for each in image.brokers.values() if each.active]


def _topic_partitions(image: MetadataImage) -> Rows:
    return (((topic.name,), len(topic.partitions)) for topic in image.topics.values())
