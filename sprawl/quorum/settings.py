"""The settings that are in force: what was set at start, under what the metadata image adds to it.

In: an image. Out: the `BrokerConfig` of this node and the `TopicConfig` of a topic, as of that image. Answers are kept
as long as what they follow from is the same, so that asking for each of 10,000 topics is cheap.
"""

from __future__ import annotations

from collections.abc import Mapping

from sprawl.config.broker import BrokerConfig
from sprawl.config.topics import TopicConfig
from sprawl.quorum.image import CLUSTER_WIDE, NO_SETTINGS, ConfigKind, MetadataImage


class Settings:
    def __init__(self, static: BrokerConfig, node_id: int) -> None:
        self.static = static
        self.node_name = str(node_id)
        """The resource name that this node's own settings are kept under."""
        self._dynamic: tuple[Mapping[str, str], Mapping[str, str]] = (NO_SETTINGS, NO_SETTINGS)
        self._broker = static
        self._plain_topic = TopicConfig.of({}, static)
        self._topics: dict[str, tuple[Mapping[str, str], TopicConfig]] = {}

    def broker(self, image: MetadataImage) -> BrokerConfig:
        """Raises `ConfigError` if what was set at start cannot go together with what was set later."""
        dynamic = (
            image.config(ConfigKind.BROKER, CLUSTER_WIDE),
            image.config(ConfigKind.BROKER, self.node_name),
        )
        if dynamic[0] is not self._dynamic[0] or dynamic[1] is not self._dynamic[1]:
            changes = {**dynamic[0], **dynamic[1]}
            self._broker = self.static.with_dynamic(changes) if changes else self.static
            self._plain_topic = TopicConfig.of({}, self._broker)
            self._topics.clear()
            self._dynamic = dynamic
        return self._broker

    def topic(self, image: MetadataImage, name: str) -> TopicConfig:
        """Raises `ApiError`, `ConfigError`."""
        broker = self.broker(image)
        own = image.config(ConfigKind.TOPIC, name)
        if not own:
            self._topics.pop(name, None)
            return self._plain_topic
        found = self._topics.get(name)
        if found is None or found[0] is not own:
            found = self._topics[name] = (own, TopicConfig.of(own, broker))
        return found[1]
