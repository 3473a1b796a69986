"""kafka-topics, kafka-console-producer and their kin, against this broker; kafka-dump-log on its files."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from compat_tests.brokers import Server
from compat_tests.conftest import MakeTopic, StartBroker, create_topic
from tools.bench.kafka_dist import obtain

TOOLS = {
    "console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "topics": "org.apache.kafka.tools.TopicCommand",
    "configs": "kafka.admin.ConfigCommand",
    "consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "groups": "org.apache.kafka.tools.GroupsCommand",
    "get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
    "log-dirs": "org.apache.kafka.tools.LogDirsCommand",
    "broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
    "dump-log": "org.apache.kafka.tools.DumpLogSegments",
    "verifiable-producer": "org.apache.kafka.tools.VerifiableProducer",
    "producer-perf-test": "org.apache.kafka.tools.ProducerPerformance",
    "consumer-perf-test": "org.apache.kafka.tools.ConsumerPerformance",
}
Tool = Callable[..., str]


def call(name: str, *arguments: str, given: str = "", expected: int = 0) -> str:
    command = obtain().command(TOOLS[name], *arguments)
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == expected, f"exit code {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout + (done.stderr if expected else "")


@pytest.fixture
def tool(bootstrap: str) -> Tool:
    def run(name: str, *arguments: str, given: str = "", expected: int = 0) -> str:
        return call(name, "--bootstrap-server", bootstrap, *arguments, given=given, expected=expected)

    return run


@pytest.mark.feature("produce and consume")
def test_lines_go_in_and_come_out(topic: str, tool: Tool) -> None:
    tool("console-producer", "--topic", topic, given="one\ntwo\nthree\n")
    told = tool("console-consumer", "--topic", topic, "--from-beginning", "--max-messages", "3")
    assert told.split() == ["one", "two", "three"]


@pytest.mark.feature("keys, headers, empty and null values")
def test_keys_and_headers_survive(topic: str, tool: Tool) -> None:
    parse = ("--reader-property", "parse.key=true", "--reader-property", "parse.headers=true")
    tool("console-producer", "--topic", topic, *parse, given="a:1,b:2\tkey\tvalue\n")
    show = ("print.key=true", "print.headers=true", "print.offset=true", "print.partition=true")
    wanted = [part for each in show for part in ("--formatter-property", each)]
    told = tool("console-consumer", "--topic", topic, "--from-beginning", "--max-messages", "1", *wanted)
    assert "a:1,b:2\tkey\tvalue" in told


@pytest.mark.feature("groups: committed offsets")
def test_a_groups_reader_goes_on_and_its_lag_is_told(topic: str, group: str, tool: Tool) -> None:
    tool("console-producer", "--topic", topic, given="1\n2\n3\n4\n5\n")
    reader = ("console-consumer", "--topic", topic, "--group", group, "--from-beginning")
    assert tool(*reader, "--max-messages", "2").split() == ["1", "2"]
    assert tool(*reader, "--max-messages", "2").split() == ["3", "4"]
    described = tool("consumer-groups", "--describe", "--group", group)
    (line,) = [each.split() for each in described.splitlines() if topic in each]
    assert line[:6] == [group, topic, "0", "4", "5", "1"]
    tool("consumer-groups", "--group", group, "--topic", topic, "--reset-offsets", "--to-earliest", "--execute")
    assert tool(*reader, "--max-messages", "1").split() == ["1"]


@pytest.mark.feature("admin: groups")
def test_groups_are_listed_and_deleted(topic: str, group: str, tool: Tool) -> None:
    tool("console-producer", "--topic", topic, given="1\n")
    tool("console-consumer", "--topic", topic, "--group", group, "--from-beginning", "--max-messages", "1")
    assert group in tool("consumer-groups", "--list").split()
    assert re.search(rf"{group}\s+Classic", tool("groups", "--list"))
    assert "Empty" in tool("consumer-groups", "--describe", "--group", group, "--state")
    assert "successful" in tool("consumer-groups", "--delete", "--group", group)
    assert group not in tool("consumer-groups", "--list").split()


@pytest.mark.feature("admin: topics")
def test_topics_are_created_described_grown_and_deleted(new_name: Callable[[], str], tool: Tool) -> None:
    name = new_name()
    tool("topics", "--create", "--topic", name, "--partitions", "2", "--config", "retention.ms=60000")
    assert name in tool("topics", "--list").split()
    described = tool("topics", "--describe", "--topic", name)
    assert re.search(r"PartitionCount: 2\s+ReplicationFactor: 1\s+Configs: .*retention\.ms=60000", described)
    tool("topics", "--alter", "--topic", name, "--partitions", "4")
    assert "PartitionCount: 4" in tool("topics", "--describe", "--topic", name)
    tool("topics", "--delete", "--topic", name)
    assert name not in tool("topics", "--list").split()


@pytest.mark.feature("admin: configs")
def test_settings_are_altered_and_described(topic: str, tool: Tool) -> None:
    of = ("--entity-type", "topics", "--entity-name", topic)
    tool("configs", *of, "--alter", "--add-config", "retention.ms=60000,cleanup.policy=delete")
    assert "retention.ms=60000" in tool("configs", *of, "--describe")
    tool("configs", *of, "--alter", "--delete-config", "retention.ms")
    assert "retention.ms" not in tool("configs", *of, "--describe")
    assert "retention.ms=604800000" in tool("configs", *of, "--describe", "--all")


@pytest.mark.feature("admin: delete records")
def test_records_are_deleted_and_offsets_told(topic: str, tool: Tool, tmp_path: Path) -> None:
    tool("console-producer", "--topic", topic, given="1\n2\n3\n4\n5\n")
    wanted = tmp_path / "delete.json"
    wanted.write_text(json.dumps({"version": 1, "partitions": [{"topic": topic, "partition": 0, "offset": 3}]}))
    assert "low_watermark: 3" in tool("delete-records", "--offset-json-file", str(wanted))
    assert f"{topic}:0:3" in tool("get-offsets", "--topic", topic, "--time", "earliest")
    assert f"{topic}:0:5" in tool("get-offsets", "--topic", topic, "--time", "latest")


@pytest.mark.feature("admin: cluster")
def test_versions_and_log_directories_are_told(topic: str, tool: Tool) -> None:
    versions = tool("broker-api-versions")
    assert re.search(r"Produce\(0\): 0 to \d+ \[usable: \d+\]", versions)
    assert re.search(r"Fetch\(1\): 4 to \d+ \[usable: \d+\]", versions)
    assert f'"{topic}-0"' in tool("log-dirs", "--describe", "--topic-list", topic)


@pytest.mark.feature("idempotence")
def test_the_verifiable_producer_is_satisfied(topic: str, tool: Tool) -> None:
    told = tool("verifiable-producer", "--topic", topic, "--max-messages", "2000")
    assert '"sent":2000,"acked":2000' in told


@pytest.mark.feature("compression")
@pytest.mark.parametrize("codec", ["none", "lz4", "zstd"])
def test_the_performance_tools_run(new_topic: MakeTopic, tool: Tool, bootstrap: str, codec: str) -> None:
    topic = new_topic(partitions=4)
    settings = ("--producer-props", f"bootstrap.servers={bootstrap}", "acks=all", f"compression.type={codec}")
    load = ("--topic", topic, "--num-records", "20000", "--record-size", "1000", "--throughput", "-1")
    assert "20000 records sent" in call("producer-perf-test", *load, *settings)
    told = tool("consumer-perf-test", "--topic", topic, "--num-records", "20000", "--timeout", "60000")
    assert re.search(r"\b20000\b", told)


@pytest.mark.feature("errors")
def test_errors_are_told_in_words(topic: str, tool: Tool, new_name: Callable[[], str]) -> None:
    told = tool("topics", "--create", "--topic", topic, expected=1)
    assert "already exists" in told
    told = tool("topics", "--create", "--topic", new_name(), "--replication-factor", "3", expected=1)
    assert "replication factor" in told.lower()
    told = tool("topics", "--create", "--topic", new_name(), "--config", "retention.ms=soon", expected=1)
    assert "retention.ms" in told


@pytest.mark.feature("whole file, byte by byte")
@pytest.mark.parametrize("durability", ["running", "stopped"])
def test_dump_log_reads_our_segments(
    broker: Server, start_broker: StartBroker, new_name: Callable[[], str], tmp_path: Path, durability: str
) -> None:
    one = broker if durability == "running" else start_broker()
    topic = create_topic(AdminClient({"bootstrap.servers": one.bootstrap}), new_name())
    for codec in ("none", "gzip", "zstd"):
        call(
            "console-producer", "--bootstrap-server", one.bootstrap, "--topic", topic, "--compression-codec", codec,
            given=f"{codec} 1\n{codec} 2\n",
        )  # fmt: skip
    if durability == "stopped":
        one.stop()
    segments = sorted(one.data_directory.rglob(f"{topic}-0/*.log"))
    assert [segment.name for segment in segments] == ["00000000000000000000.log"]
    told = call("dump-log", "--deep-iteration", "--print-data-log", "--files", str(segments[0]))
    payloads = re.findall(r"payload: (\w+ \d)", told)
    assert payloads == ["none 1", "none 2", "gzip 1", "gzip 2", "zstd 1", "zstd 2"]
    assert "isvalid: true" in told
    assert "isvalid: false" not in told
