"""Settings of brokers, topics and groups: what they are called, what they may be, and where they come from."""

from sprawl.config.broker import BrokerConfig
from sprawl.config.errors import ConfigError
from sprawl.config.topics import Durability, TopicConfig, validate_topic_config

__all__ = ["BrokerConfig", "ConfigError", "Durability", "TopicConfig", "validate_topic_config"]
