"""Kafka's command names: installed where asked, with Kafka's flags and Kafka's lines."""

from __future__ import annotations

import io
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sprawl.admin import cli
from sprawl.admin.session import CONFLICT, USAGE
from sprawl.admin.shims.__main__ import main
from sprawl.testing import Cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(1, in_memory=True) as running:
        yield running


def test_topics_are_made_listed_described_and_deleted(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    def topics(*words: str) -> tuple[int, str]:
        code = main(["kafka-topics", "--bootstrap-server", cluster.bootstrap_servers, *words])
        return code, capsys.readouterr().out

    created = ("--create", "--topic", "t", "--partitions", "2", "--config", "retention.ms=5")
    assert topics(*created) == (0, "Created topic t.\n")
    assert topics(*created)[0] == CONFLICT
    assert topics(*created, "--if-not-exists") == (0, "")
    assert topics("--alter", "--topic", "t", "--partitions", "3")[0] == 0
    assert "t" in topics("--list")[1].splitlines()
    head, *parts = topics("--describe", "--topic", "t")[1].splitlines()
    pattern = r"Topic: t\tTopicId: [\w-]{22}\tPartitionCount: 3\tReplicationFactor: 1\tConfigs: retention.ms=5"
    assert re.fullmatch(pattern, head)
    assert len(parts) == 3
    assert re.fullmatch(r"\tTopic: t\tPartition: 0\tLeader: (\d+)\tReplicas: \1\tIsr: \1", parts[0])
    assert topics("--delete", "--topic", "t") == (0, "")
    assert topics("--delete", "--topic", "t", "--if-exists") == (0, "")
    assert topics("--create")[0] == USAGE
    assert topics("--create", "--list")[0] == USAGE


def shim(cluster: Cluster, name: str, *words: str) -> int:
    return main([name, "--bootstrap-server", cluster.bootstrap_servers, *words])


def test_lines_go_in_and_come_out(
    cluster: Cluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.create_topic("lines", partitions=1)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a:1\nb:2\n")))
    keyed = ("--property", "parse.key=true", "--property", "key.separator=:")
    assert shim(cluster, "kafka-console-producer", "--topic", "lines", *keyed) == 0
    read = ("--topic", "lines", "--from-beginning", "--max-messages", "2")
    assert shim(cluster, "kafka-console-consumer", *read) == 0
    said = capsys.readouterr()
    assert said.out == "1\n2\n"
    assert said.err == "Processed a total of 2 messages\n"
    shown = ("--property", "print.key=true", "--property", "print.partition=true", "--property", "print.offset=true")
    assert shim(cluster, "kafka-console-consumer", *read, *shown) == 0
    assert capsys.readouterr().out == "Partition:0\tOffset:0\ta\t1\nPartition:0\tOffset:1\tb\t2\n"
    assert shim(cluster, "kafka-console-consumer", "--topic", "lines", "--group", "g") == USAGE
    assert shim(cluster, "kafka-console-consumer", "--topic", "lines", "--property", "x=y") == USAGE


def test_settings_are_altered_and_described(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.create_topic("set", partitions=1)
    what = ("--entity-type", "topics", "--entity-name", "set")
    added = ("--alter", "--add-config", "cleanup.policy=[delete],retention.ms=5")
    assert shim(cluster, "kafka-configs", *what, *added) == 0
    assert capsys.readouterr().out == "Completed updating config for topic set.\n"
    assert shim(cluster, "kafka-configs", "--describe", "--topic", "set") == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head == "Dynamic configs for topic set are:"
    assert sorted(rows) == ["  cleanup.policy=delete", "  retention.ms=5"]
    assert shim(cluster, "kafka-configs", *what, "--alter", "--delete-config", "retention.ms") == 0
    assert shim(cluster, "kafka-configs", *what, "--alter") == USAGE


def test_a_name_that_is_no_shim_is_wrong_usage() -> None:
    assert main(["kafka-nothing"]) == USAGE


def test_shims_are_installed_where_asked_and_replace_nothing(tmp_path: Path) -> None:
    words = ["shims", "install", str(tmp_path / "bin")]
    assert CliRunner().invoke(cli.app, words).exit_code == 0
    done = subprocess.run([tmp_path / "bin" / "kafka-topics.sh", "--help"], capture_output=True, text=True, check=True)
    assert "--if-not-exists" in done.stdout
    assert CliRunner().invoke(cli.app, words).exit_code == CONFLICT
    assert CliRunner().invoke(cli.app, [*words, "--force"]).exit_code == 0
