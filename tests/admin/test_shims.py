"""Kafka's command names: installed where asked, with Kafka's flags and Kafka's lines."""

from __future__ import annotations

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


def test_a_name_that_is_no_shim_is_wrong_usage() -> None:
    assert main(["kafka-nothing"]) == USAGE


def test_shims_are_installed_where_asked_and_replace_nothing(tmp_path: Path) -> None:
    words = ["shims", "install", str(tmp_path / "bin")]
    assert CliRunner().invoke(cli.app, words).exit_code == 0
    done = subprocess.run([tmp_path / "bin" / "kafka-topics.sh", "--help"], capture_output=True, text=True, check=True)
    assert "--if-not-exists" in done.stdout
    assert CliRunner().invoke(cli.app, words).exit_code == CONFLICT
    assert CliRunner().invoke(cli.app, [*words, "--force"]).exit_code == 0
