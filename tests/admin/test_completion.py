"""What the shell completes: names of the running cluster, and nothing at all where none answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from sprawl.admin import cli, completion, profile_commands
from sprawl.testing import Cluster


@pytest.fixture(autouse=True)
def no_profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile_commands, "profiles_file", lambda: tmp_path / "profiles.toml")


def test_names_of_the_running_cluster_are_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "_PATIENCE", 60.0)
    with Cluster(1, in_memory=True) as cluster:
        for name in ("orders", "orders-copy", "people"):
            cluster.create_topic(name)
        monkeypatch.setenv("SPRAWL_BOOTSTRAP", cluster.bootstrap_servers)
        assert completion.topics("ord") == ["orders", "orders-copy"]
        assert len(completion.brokers("")) == 1
        assert completion.groups("nobody") == []
        asked = {
            "_SPRAWL_ADMIN_COMPLETE": "complete_bash",
            "COMP_WORDS": "sprawl-admin topic trim peo",
            "COMP_CWORD": "3",
        }
        done = CliRunner().invoke(cli.app, [], env=asked, prog_name="sprawl-admin")
        assert done.stdout.split() == ["people"]


def test_a_cluster_that_does_not_answer_completes_to_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SPRAWL_BOOTSTRAP", "127.0.0.1:1")
    assert completion.topics("") == completion.groups("") == completion.brokers("") == []
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")
