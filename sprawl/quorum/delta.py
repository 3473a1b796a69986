"""From one image and some records to the next image.

In: an image, records, and the offset and epoch of the last of them. Out: a new image; the old one is untouched.
Cost follows the size of the change, not of the cluster, except that a map which is touched is copied once for the
whole delta (one change among 10,000 topics: 0.09 ms), and so are the partitions of a topic (10,000: 0.04 ms).
A record that does not fit the image (a change to a topic that is not there) is a bug or a damaged log: `DeltaError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar
from uuid import UUID

from sprawl.quorum.image import (
    INTERNAL_TOPICS,
    BrokerImage,
    ConfigKind,
    ListenerImage,
    MetadataImage,
    PartitionImage,
    TopicImage,
)
from sprawl.quorum.records import (
    NO_CHANGE,
    BrokerRegistrationChangeRecord,
    ConfigRecord,
    FeatureLevelRecord,
    FenceBrokerRecord,
    MetadataRecord,
    NoOpRecord,
    PartitionChangeRecord,
    PartitionRecord,
    ProducerIdsRecord,
    RegisterBrokerRecord,
    RemoveTopicRecord,
    TopicRecord,
    UnfenceBrokerRecord,
    UnregisterBrokerRecord,
)

V = TypeVar("V")


class DeltaError(Exception):
    """A record that cannot follow the records before it."""


def apply(
    image: MetadataImage, records: Iterable[MetadataRecord], *, offset: int, epoch: int | None = None
) -> MetadataImage:
    """Raises `DeltaError`."""
    delta = _Delta(image)
    for record in records:
        _APPLY[type(record)](delta, record)
    return delta.finish(offset, image.epoch if epoch is None else epoch)


def metric_name(topic: str) -> str:
    """The name a topic has in metrics, where '.' cannot be told from '_'."""
    return topic.replace(".", "_")


class _Delta:
    def __init__(self, image: MetadataImage) -> None:
        self._image = image
        self._topics: dict[str, TopicImage] | None = None
        self._topics_by_id: dict[UUID, TopicImage] | None = None
        self._partitions: dict[UUID, list[PartitionImage]] = {}
        self._brokers: dict[int, BrokerImage] | None = None
        self._configs: dict[ConfigKind, dict[str, Mapping[str, str]]] = {}
        self._settings: dict[tuple[ConfigKind, str], dict[str, str]] = {}
        self._features: dict[str, int] | None = None
        self._lookalikes: dict[str, frozenset[str]] | None = None
        self._next_producer_id = image.next_producer_id
        self._partition_count = image.partition_count

    def finish(self, offset: int, epoch: int) -> MetadataImage:
        image = self._image
        for topic_id, partitions in self._partitions.items():
            by_name, by_id = self._owned_topics()
            topic = replace(by_id[topic_id], partitions=tuple(partitions))
            by_name[topic.name] = by_id[topic_id] = topic
        for (kind, name), settings in self._settings.items():
            self._put_settings(kind, name, settings)
        configs = {kind: named for kind, named in {**image.configs, **self._configs}.items() if named}
        return replace(
            image,
            offset=offset,
            epoch=epoch,
            topics=image.topics if self._topics is None else self._topics,
            topics_by_id=image.topics_by_id if self._topics_by_id is None else self._topics_by_id,
            brokers=image.brokers if self._brokers is None else self._brokers,
            configs=configs if self._configs else image.configs,
            features=image.features if self._features is None else self._features,
            lookalikes=image.lookalikes if self._lookalikes is None else self._lookalikes,
            next_producer_id=self._next_producer_id,
            partition_count=self._partition_count,
        )

    # Topics and partitions

    def topic(self, record: TopicRecord) -> None:
        by_name, by_id = self._owned_topics()
        if record.name in by_name or record.topic_id in by_id:
            raise DeltaError(f"topic {record.name!r} ({record.topic_id}) is there already")
        topic = TopicImage(record.name, record.topic_id, (), record.name in INTERNAL_TOPICS)
        by_name[topic.name] = by_id[topic.id] = topic
        self._look_alike(topic.name, lambda alike: alike | {topic.name})

    def remove_topic(self, record: RemoveTopicRecord) -> None:
        by_name, by_id = self._owned_topics()
        topic = by_id.pop(record.topic_id, None)
        if topic is None:
            raise DeltaError(f"there is no topic with id {record.topic_id} to remove")
        del by_name[topic.name]
        touched = self._partitions.pop(topic.id, None)
        self._partition_count -= len(topic.partitions if touched is None else touched)
        self._settings[(ConfigKind.TOPIC, topic.name)] = {}
        self._look_alike(topic.name, lambda alike: alike - {topic.name})

    def partition(self, record: PartitionRecord) -> None:
        partitions = self._owned_partitions(record.topic_id)
        if record.partition_id != len(partitions):
            raise DeltaError(
                f"partition {record.partition_id} of topic {record.topic_id} cannot follow {len(partitions)} others"
            )
        partitions.append(
            PartitionImage(
                index=record.partition_id,
                leader=record.leader,
                leader_epoch=record.leader_epoch,
                partition_epoch=record.partition_epoch,
                replicas=tuple(record.replicas),
                isr=tuple(record.isr),
                eligible_leader_replicas=tuple(record.eligible_leader_replicas or ()),
                last_known_elr=tuple(record.last_known_elr or ()),
                directories=tuple(record.directories),
                adding_replicas=tuple(record.adding_replicas),
                removing_replicas=tuple(record.removing_replicas),
                recovering=record.leader_recovery_state == 1,
            )
        )
        self._partition_count += 1

    def partition_change(self, record: PartitionChangeRecord) -> None:
        partitions = self._owned_partitions(record.topic_id)
        if not 0 <= record.partition_id < len(partitions):
            raise DeltaError(f"there is no partition {record.partition_id} of topic {record.topic_id} to change")
        before = partitions[record.partition_id]
        led = record.leader != NO_CHANGE
        partitions[record.partition_id] = replace(
            before,
            leader=record.leader if led else before.leader,
            leader_epoch=before.leader_epoch + led,
            partition_epoch=before.partition_epoch + 1,
            replicas=_changed(record.replicas, before.replicas),
            isr=_changed(record.isr, before.isr),
            eligible_leader_replicas=_changed(record.eligible_leader_replicas, before.eligible_leader_replicas),
            last_known_elr=_changed(record.last_known_elr, before.last_known_elr),
            directories=_changed(record.directories, before.directories),
            adding_replicas=_changed(record.adding_replicas, before.adding_replicas),
            removing_replicas=_changed(record.removing_replicas, before.removing_replicas),
            recovering=before.recovering if record.leader_recovery_state < 0 else record.leader_recovery_state == 1,
        )

    # Settings, features, producer ids

    def config(self, record: ConfigRecord) -> None:
        try:
            kind = ConfigKind(record.resource_type)
        except ValueError:
            raise DeltaError(f"settings of unknown resource type {record.resource_type}") from None
        key = (kind, record.resource_name)
        settings = self._settings.get(key)
        if settings is None:
            settings = self._settings[key] = dict(self._image.config(kind, record.resource_name))
        if record.value is None:
            settings.pop(record.name, None)
        else:
            settings[record.name] = record.value

    def feature_level(self, record: FeatureLevelRecord) -> None:
        if self._features is None:
            self._features = dict(self._image.features)
        if record.feature_level:
            self._features[record.name] = record.feature_level
        else:
            self._features.pop(record.name, None)

    def producer_ids(self, record: ProducerIdsRecord) -> None:
        if record.next_producer_id <= self._next_producer_id:
            raise DeltaError(f"producer ids would go back from {self._next_producer_id} to {record.next_producer_id}")
        self._next_producer_id = record.next_producer_id

    def no_op(self, record: NoOpRecord) -> None:
        pass

    # Brokers

    def register_broker(self, record: RegisterBrokerRecord) -> None:
        self._owned_brokers()[record.broker_id] = BrokerImage(
            id=record.broker_id,
            listeners=tuple(
                ListenerImage(each.name, each.host, each.port, each.security_protocol) for each in record.end_points
            ),
            rack=record.rack,
            epoch=record.broker_epoch,
            fenced=record.fenced,
            incarnation=record.incarnation_id,
            directories=tuple(record.log_dirs),
            features={each.name: (each.min_supported_version, each.max_supported_version) for each in record.features},
            shutting_down=record.in_controlled_shutdown,
        )

    def unregister_broker(self, record: UnregisterBrokerRecord) -> None:
        self._registered(record.broker_id, record.broker_epoch)
        del self._owned_brokers()[record.broker_id]

    def fence_broker(self, record: FenceBrokerRecord) -> None:
        self._owned_brokers()[record.id] = replace(self._registered(record.id, record.epoch), fenced=True)

    def unfence_broker(self, record: UnfenceBrokerRecord) -> None:
        self._owned_brokers()[record.id] = replace(self._registered(record.id, record.epoch), fenced=False)

    def broker_change(self, record: BrokerRegistrationChangeRecord) -> None:
        broker = self._registered(record.broker_id, record.broker_epoch)
        self._owned_brokers()[broker.id] = replace(
            broker,
            fenced=broker.fenced if record.fenced == 0 else record.fenced > 0,
            shutting_down=broker.shutting_down or record.in_controlled_shutdown == 1,
            directories=tuple(record.log_dirs) or broker.directories,
        )

    # What the delta owns

    def _registered(self, broker_id: int, epoch: int) -> BrokerImage:
        broker = self._owned_brokers().get(broker_id)
        if broker is None or broker.epoch != epoch:
            raise DeltaError(f"broker {broker_id} is not registered with epoch {epoch}")
        return broker

    def _owned_topics(self) -> tuple[dict[str, TopicImage], dict[UUID, TopicImage]]:
        if self._topics is None or self._topics_by_id is None:
            self._topics = dict(self._image.topics)
            self._topics_by_id = dict(self._image.topics_by_id)
        return self._topics, self._topics_by_id

    def _owned_partitions(self, topic_id: UUID) -> list[PartitionImage]:
        found = self._partitions.get(topic_id)
        if found is None:
            topics = self._image.topics_by_id if self._topics_by_id is None else self._topics_by_id
            topic = topics.get(topic_id)
            if topic is None:
                raise DeltaError(f"there is no topic with id {topic_id}")
            found = self._partitions[topic_id] = list(topic.partitions)
        return found

    def _owned_brokers(self) -> dict[int, BrokerImage]:
        if self._brokers is None:
            self._brokers = dict(self._image.brokers)
        return self._brokers

    def _look_alike(self, topic: str, change: Callable[[frozenset[str]], frozenset[str]]) -> None:
        name = metric_name(topic)
        if "_" not in name:
            return
        if self._lookalikes is None:
            self._lookalikes = dict(self._image.lookalikes)
        alike = change(self._lookalikes.get(name, frozenset()))
        if alike:
            self._lookalikes[name] = alike
        else:
            self._lookalikes.pop(name, None)

    def _put_settings(self, kind: ConfigKind, name: str, settings: dict[str, str]) -> None:
        if settings == self._image.config(kind, name):
            return
        of_kind = self._configs.get(kind)
        if of_kind is None:
            of_kind = self._configs[kind] = dict(self._image.configs.get(kind, {}))
        if settings:
            of_kind[name] = settings
        else:
            of_kind.pop(name, None)


def _changed(value: list[V] | None, before: tuple[V, ...]) -> tuple[V, ...]:
    return before if value is None else tuple(value)


_APPLY: Final[Mapping[type[MetadataRecord], Callable[[_Delta, Any], None]]] = {
    RegisterBrokerRecord: _Delta.register_broker,
    UnregisterBrokerRecord: _Delta.unregister_broker,
    TopicRecord: _Delta.topic,
    PartitionRecord: _Delta.partition,
    ConfigRecord: _Delta.config,
    PartitionChangeRecord: _Delta.partition_change,
    FenceBrokerRecord: _Delta.fence_broker,
    UnfenceBrokerRecord: _Delta.unfence_broker,
    RemoveTopicRecord: _Delta.remove_topic,
    FeatureLevelRecord: _Delta.feature_level,
    ProducerIdsRecord: _Delta.producer_ids,
    BrokerRegistrationChangeRecord: _Delta.broker_change,
    NoOpRecord: _Delta.no_op,
}
