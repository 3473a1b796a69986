"""Topic settings: Kafka's keys, types, limits and defaults."""

from __future__ import annotations

import pytest

from sprawl.config.broker import BROKER_DEFINITIONS, BrokerConfig
from sprawl.config.definitions import attribute
from sprawl.config.topics import (
    TOPIC_DEFINITIONS,
    Durability,
    TopicConfig,
    inert_keys,
    validate_topic_config,
    validate_topic_configs,
)
from sprawl_protocol.errors import ApiError, ErrorCode

KAFKAS_KEYS = """
cleanup.policy compression.gzip.level compression.lz4.level compression.type compression.zstd.level
delete.retention.ms errors.deadletterqueue.group.enable file.delete.delay.ms flush.messages flush.ms
follower.replication.throttled.replicas index.interval.bytes internal.segment.bytes
leader.replication.throttled.replicas local.retention.bytes local.retention.ms max.compaction.lag.ms
max.decompressed.message.bytes max.message.bytes message.timestamp.after.max.ms message.timestamp.before.max.ms
message.timestamp.type min.cleanable.dirty.ratio min.compaction.lag.ms min.insync.replicas preallocate
remote.copy.lag.bytes remote.copy.lag.ms remote.log.copy.disable remote.log.delete.on.disable remote.storage.enable
retention.bytes retention.ms segment.bytes segment.index.bytes segment.jitter.ms segment.ms
unclean.leader.election.enable
""".split()


def refusal(name: str, value: str | None) -> ApiError:
    with pytest.raises(ApiError) as caught:
        validate_topic_config(name, value)
    assert caught.value.code is ErrorCode.INVALID_CONFIG
    return caught.value


def test_every_key_of_kafka_is_known_and_one_of_sprawl() -> None:
    assert sorted(TOPIC_DEFINITIONS) == sorted([*KAFKAS_KEYS, "sprawl.durability"])


@pytest.mark.parametrize("name", TOPIC_DEFINITIONS)
def test_a_default_passes_its_own_check(name: str) -> None:
    definition = TOPIC_DEFINITIONS[name]
    text = definition.text_of(definition.default)
    if text is not None:
        assert definition.parse(text) == definition.default
        validate_topic_config(name, text)


@pytest.mark.parametrize("name", TOPIC_DEFINITIONS)
def test_every_key_has_a_meaning_and_its_synonyms_exist(name: str) -> None:
    definition = TOPIC_DEFINITIONS[name]
    assert definition.doc.endswith(".")
    for synonym in definition.synonyms:
        assert synonym.name in BROKER_DEFINITIONS, f"{name}'s synonym {synonym.name}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("retention.ms", "-2"),
        ("retention.ms", "1.5"),
        ("retention.ms", ""),
        ("retention.ms", "1_000"),
        ("retention.ms", "٣"),
        ("retention.ms", str(2**63)),
        ("segment.bytes", "1048575"),
        ("segment.bytes", str(2**31)),
        ("segment.ms", "0"),
        ("max.message.bytes", "-1"),
        ("cleanup.policy", "shred"),
        ("compression.type", "brotli"),
        ("compression.gzip.level", "0"),
        ("compression.gzip.level", "10"),
        ("compression.lz4.level", "18"),
        ("compression.zstd.level", "23"),
        ("message.timestamp.type", "createtime"),
        ("min.cleanable.dirty.ratio", "1.1"),
        ("min.cleanable.dirty.ratio", "nan"),
        ("min.insync.replicas", "0"),
        ("preallocate", "yes"),
        ("leader.replication.throttled.replicas", "1-2"),
        ("sprawl.durability", "maybe"),
    ],
)
def test_a_value_out_of_range_is_refused_with_the_range(name: str, value: str) -> None:
    error = refusal(name, value)
    assert name in error.message
    assert "must be" in error.message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("retention.ms", "-1"),
        ("retention.ms", " 5 "),
        ("retention.bytes", "-17"),
        ("compression.gzip.level", "-1"),
        ("preallocate", "TRUE"),
        ("leader.replication.throttled.replicas", "*"),
        ("leader.replication.throttled.replicas", "0:1,1:2"),
        ("min.cleanable.dirty.ratio", "1e-1"),
        ("cleanup.policy", ""),
        ("local.retention.ms", "-2"),
    ],
)
def test_what_kafka_accepts_is_accepted(name: str, value: str) -> None:
    validate_topic_config(name, value)


def test_an_unknown_key_is_refused_with_the_nearest_known_one() -> None:
    assert "Did you mean retention.ms?" in refusal("retentoin.ms", "1").message


def test_a_missing_value_is_refused() -> None:
    refusal("retention.ms", None)


def test_segments_of_compacted_topics_end_in_time_for_the_longest_lag() -> None:
    config = TopicConfig.of({"cleanup.policy": "compact", "max.compaction.lag.ms": "5000"})
    assert config.compacts and not config.deletes
    assert config.roll_ms == 5000
    assert TopicConfig.of({"max.compaction.lag.ms": "5000"}).roll_ms == config.segment_ms


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ApiError, match="min.compaction.lag.ms"):
        validate_topic_configs({"min.compaction.lag.ms": "10", "max.compaction.lag.ms": "5"})


def test_the_brokers_defaults_are_the_topics_defaults() -> None:
    assert TopicConfig.of({}, BrokerConfig()) == TopicConfig()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"log.retention.hours": "2"}, 7_200_000),
        ({"log.retention.hours": "2", "log.retention.minutes": "3"}, 180_000),
        ({"log.retention.hours": "2", "log.retention.minutes": "3", "log.retention.ms": "4"}, 4),
        ({"log.retention.ms": "-1"}, -1),
        ({"log.retention.hours": "-1"}, -1),
    ],
)
def test_the_finest_unit_of_a_broker_default_wins(given: dict[str, str], expected: int) -> None:
    assert TopicConfig.of({}, given).retention_ms == expected


def test_flush_falls_back_to_the_scheduler_interval() -> None:
    assert TopicConfig.of({}, {"log.flush.scheduler.interval.ms": "7"}).flush_ms == 7
    assert TopicConfig.of({}, {"log.flush.scheduler.interval.ms": "7", "log.flush.interval.ms": "5"}).flush_ms == 5


def test_a_topics_own_value_wins_over_the_brokers() -> None:
    config = TopicConfig.of({"segment.ms": "5", "sprawl.durability": "memory"}, {"log.roll.ms": "6"})
    assert config.segment_ms == 5
    assert config.durability is Durability.MEMORY


def test_every_synonym_carries_over() -> None:
    """Change each broker key in turn and see the topic key follow."""
    examples = {
        "STRING": "gzip",
        "BOOLEAN": "true",
        "LIST": "",
        "DOUBLE": "0.25",
        "INT": "7",
        "LONG": "7",
        "SHORT": "7",
    }
    special = {
        "log.message.timestamp.type": "LogAppendTime",
        "log.segment.bytes": "1048577",
        "sprawl.durability": "disk",
        "log.cleaner.max.compaction.lag.ms": "70",
    }
    for name, definition in TOPIC_DEFINITIONS.items():
        for synonym in definition.synonyms:
            text = special.get(synonym.name, examples[definition.type.name])
            config = TopicConfig.of({}, {synonym.name: text})
            assert config.value_of(name) != getattr(TopicConfig(), attribute(name)), f"{synonym.name} -> {name}"


def test_the_compression_level_belongs_to_the_type() -> None:
    assert TopicConfig(compression_type="gzip").compression_level is None
    assert TopicConfig(compression_type="zstd", compression_zstd_level=7).compression_level == 7
    assert TopicConfig(compression_type="producer").compression_level is None


def test_keys_that_do_not_act_say_why() -> None:
    assert inert_keys(["retention.ms", "errors.deadletterqueue.group.enable", "nonsense"]) == {
        "errors.deadletterqueue.group.enable": "share groups are not built yet"
    }
