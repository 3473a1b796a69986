"""Where settings come from, which wins, and what is said about those that do nothing."""

from __future__ import annotations

import pytest

from sprawl.config.broker import BROKER_DEFINITIONS, BrokerConfig
from sprawl.config.environment import kafka_key
from sprawl.config.errors import ConfigError
from sprawl.config.inert import inert_definitions
from sprawl.config.loading import Loaded, Setting, load, parse_pair

KAFKAS_SAMPLE = """
# The file that comes with Kafka, shortened.
process.roles=broker,controller
node.id=7
controller.quorum.bootstrap.servers=localhost:9093
listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL
num.network.threads=3
socket.send.buffer.bytes=102400
log.dirs=/tmp/kraft-combined-logs
num.partitions=4
log.retention.hours=168
log.segment.bytes=1073741824
"""


def file(text: str, name: str = "server.properties") -> Loaded:
    return load(file=(name, text))


def reasons(loaded: Loaded) -> dict[str, str]:
    return {notice.key: notice.reason for notice in loaded.notices}


def test_the_command_line_wins_over_variables_over_the_file_over_defaults() -> None:
    text = "num.partitions=2\nmessage.max.bytes=2000\nlog.segment.bytes=2000000\n"
    variables = {"KAFKA_NUM_PARTITIONS": "3", "KAFKA_MESSAGE_MAX_BYTES": "3000"}
    config = load(file=("f", text), environment=variables, arguments=[parse_pair("num.partitions=4")]).config
    assert (config.num_partitions, config.message_max_bytes, config.log_segment_bytes) == (4, 3000, 2_000_000)
    assert config.offsets_topic_num_partitions == 50
    assert config.sources == {
        "num.partitions": "--set",
        "message.max.bytes": "KAFKA_MESSAGE_MAX_BYTES",
        "log.segment.bytes": "f:3",
    }


def test_sprawls_variables_win_over_kafkas() -> None:
    variables = {"KAFKA_NODE_ID": "3", "SPRAWL_NODE_ID": "4", "SPRAWL_DURABILITY": "disk"}
    config = load(environment=variables).config
    assert config.node_id == 4
    assert config.sprawl_durability.value == "disk"


def test_kafkas_own_sample_file_starts_a_node() -> None:
    loaded = file(KAFKAS_SAMPLE)
    assert loaded.config.id == 7
    assert loaded.config.data_dir == "/tmp/kraft-combined-logs"
    assert [one.name for one in loaded.config.endpoints] == ["PLAINTEXT"]
    assert sorted(reasons(loaded)) == [
        "controller.quorum.bootstrap.servers",
        "inter.broker.listener.name",
        "num.network.threads",
        "process.roles",
        "socket.send.buffer.bytes",
    ]


def test_keys_without_effect_are_named_in_one_warning_with_reason_and_place() -> None:
    loaded = file("num.io.threads=8\nlog.retenton.ms=5\nretention.ms=5\nxyzzy=1\n")
    assert loaded.warning.startswith("4 settings have no effect: num.io.threads (server.properties:1): one event loop")
    found = reasons(loaded)
    assert found["log.retenton.ms"] == "unknown; did you mean log.retention.ms?"
    assert found["retention.ms"] == "a topic setting; its default for all topics is log.retention.ms"
    assert found["xyzzy"] == "unknown"


def test_no_warning_where_everything_acts() -> None:
    assert file("num.partitions=3").warning == ""


def test_a_coarser_unit_that_is_overruled_is_named() -> None:
    assert reasons(file("log.retention.hours=1\nlog.retention.ms=5")) == {
        "log.retention.hours": "log.retention.ms is set too, and wins"
    }


def test_toml_with_a_broker_table_dotted_keys_and_typed_values() -> None:
    text = """
    log.retention.ms = 5
    "num.partitions" = 3
    [broker]
    auto.create.topics.enable = true
    listeners = ["PLAINTEXT://127.0.0.1:1", "PLAINTEXT2://127.0.0.1:2"]
    listener.security.protocol.map = "PLAINTEXT2:PLAINTEXT"
    [broker.sprawl]
    durability = "disk"
    """
    config = file(text, "sprawl.toml").config
    assert config.log_retention_ms == 5
    assert config.num_partitions == 3
    assert config.auto_create_topics_enable is True
    assert len(config.endpoints) == 2
    assert config.sprawl_durability.value == "disk"


@pytest.mark.parametrize("text", ["a = ", "broker = 5", "num.partitions = 2026-01-01", "listeners = [[1]]"])
def test_a_broken_toml_file_is_refused_with_its_name(text: str) -> None:
    with pytest.raises(ConfigError, match="sprawl.toml"):
        file(text, "sprawl.toml")


def test_an_error_names_key_value_range_and_place() -> None:
    with pytest.raises(ConfigError) as caught:
        file("\nnum.partitions=none")
    error = caught.value
    assert (error.key, error.value, error.source) == ("num.partitions", "none", "server.properties:2")
    assert str(error) == "num.partitions=none (from server.properties:2): must be a whole number (INT)."


@pytest.mark.parametrize(
    ("variable", "key"),
    [
        ("LOG_RETENTION_MS", "log.retention.ms"),
        ("A__B", "a_b"),
        ("A___B", "a-b"),
        ("LISTENER_NAME_INTERNAL__X_SSL___Y", "listener.name.internal_x.ssl-y"),
    ],
)
def test_variables_are_spelled_as_in_kafkas_image(variable: str, key: str) -> None:
    assert kafka_key(variable) == key


def test_variables_of_start_scripts_are_no_settings() -> None:
    variables = {
        "KAFKA_HEAP_OPTS": "-Xmx1G",
        "KAFKA_HOME": "/opt/kafka",
        "KAFKA_LOG4J_ROOT_LOGLEVEL": "INFO",
        "PATH": "/bin",
    }
    assert load(environment=variables).config.given == {}


@pytest.mark.parametrize("text", ["novalue", "=x", ""])
def test_a_pair_needs_a_key_and_a_value(text: str) -> None:
    with pytest.raises(ConfigError, match="key=value"):
        parse_pair(text)


def test_every_broker_key_is_declared_once() -> None:
    assert not BROKER_DEFINITIONS.keys() & inert_definitions().keys()
    kafkas = [name for name in [*BROKER_DEFINITIONS, *inert_definitions()] if not name.startswith("sprawl.")]
    only_while_running = [name for name in kafkas if name.endswith(".replication.throttled.rate")]
    assert len(kafkas) - len(only_while_running) == 379, "Kafka 4.4 has 379 broker keys"


@pytest.mark.parametrize("name", BROKER_DEFINITIONS)
def test_a_default_passes_its_own_check(name: str) -> None:
    definition = BROKER_DEFINITIONS[name]
    text = definition.text_of(definition.default)
    if text is not None:
        assert definition.parse(text) == definition.default


def test_a_node_has_one_data_directory() -> None:
    assert BrokerConfig.of({"log.dir": "/a"}).data_dir == "/a"
    assert BrokerConfig.of({"log.dir": "/a", "log.dirs": "/b"}).data_dir == "/b"
    with pytest.raises(ConfigError, match="one data directory"):
        BrokerConfig.of({"log.dirs": "/a,/b"})


def test_dynamic_values_lie_over_the_static_ones() -> None:
    config = load(arguments=[Setting("log.retention.ms", "5", "--set")]).config
    changed = config.with_dynamic({"log.retention.ms": "6"})
    assert (config.log_retention_ms, changed.log_retention_ms) == (5, 6)
    assert changed.sources["log.retention.ms"] == "the cluster's metadata"


def test_broker_id_counts_where_node_id_is_missing() -> None:
    assert BrokerConfig.of({"broker.id": "9"}).id == 9
    assert BrokerConfig.of({"broker.id": "9", "node.id": "2"}).id == 2
    assert not BrokerConfig().id_given
