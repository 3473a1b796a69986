"""The `sprawl` command, up to the point where a node would start."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sprawl import __version__, process, supervisor
from sprawl.cli import main, plain_start
from sprawl.commands import app
from sprawl.config.identity import SECRET_FILE
from sprawl.config.loading import Loaded
from sprawl.options import load_start


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("KAFKA_", "SPRAWL_")):
            monkeypatch.delenv(name)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Loaded]]:
    """What `sprawl start` would have started."""
    found: list[Loaded] = []

    def run(loaded: Loaded) -> int:
        found.append(loaded)
        return 0

    monkeypatch.setattr(process, "run", run)
    yield found


def sprawl(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_version() -> None:
    assert __version__ in sprawl("version").stdout


@pytest.mark.parametrize(
    "command",
    [["start"], ["format"], ["status"], ["version"], ["config", "list"], ["config", "show"], ["config", "check"]],
)
def test_every_command_explains_itself_with_an_example(command: list[str]) -> None:
    result = sprawl(*command, "--help")
    assert result.exit_code == 0
    assert f"sprawl {' '.join(command)}" in result.stdout


def test_options_of_start_become_settings(started: list[Loaded], tmp_path: Path) -> None:
    file = tmp_path / "server.properties"
    file.write_text("num.partitions=3\nnode.id=5\n")
    arguments = [
        "--data-dir",
        "/d",
        "--listeners",
        "PLAINTEXT://127.0.0.1:1",
        "--http",
        "127.0.0.1:2",
        "--node-id",
        "6",
    ]
    result = sprawl(
        "start", *arguments, "--config", str(file), "--set", "log.retention.hours=1", "-s", "log.roll.hours=2"
    )
    assert result.exit_code == 0, result.output
    config = started[0].config
    assert (config.data_dir, config.endpoints[0].port, config.id) == ("/d", 1, 6)
    assert config.http is not None
    assert config.http.port == 2
    assert (config.num_partitions, config.log_retention_hours, config.log_roll_hours) == (3, 1, 2)


def test_variables_reach_a_start(started: list[Loaded], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_NUM_PARTITIONS", "9")
    assert sprawl("start").exit_code == 0
    assert started[0].config.num_partitions == 9


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--listeners", "PLAINTEXT://0.0.0.0:9092"], "--insecure"),
        (["--listeners", "SSL://127.0.0.1:9092"], "not built yet"),
        (["--http", "0.0.0.0:9644"], "--insecure"),
        (["--set", "num.partitions"], "key=value"),
        (["--set", "num.partitions=0"], "must be at least 1"),
        (["--node-id", "-3"], "must be at least 0"),
        (["--config", "/no/such/file"], "/no/such/file"),
        (["--nonsense"], "--nonsense"),
        (["--seeds", "192.0.2.7"], "must be host:port"),
        (["--restart"], "--restart goes with --nodes"),
        (["--nodes", "0"], "--nodes"),
        (["--nodes", "2", "--listeners", "PLAINTEXT://127.0.0.1:0"], "several nodes need ports"),
    ],
)
def test_wrong_usage_is_told_in_one_message_and_code_2(started: list[Loaded], arguments: list[str], words: str) -> None:
    result = sprawl("start", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert not started


def test_format_gives_a_directory_its_identity_once(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    first = sprawl("format", "--data-dir", str(directory), "--node-id", "4")
    assert first.exit_code == 0, first.output
    assert "node 4" in first.stdout
    assert sprawl("format", "--data-dir", str(directory)).stdout == first.stdout
    secret = directory / SECRET_FILE
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert len(secret.read_bytes()) > 40


@pytest.mark.parametrize("arguments", [["--node-id", "5"], ["--cluster-id", "AAAAAAAAAAAAAAAAAAAAAA"]])
def test_a_directory_does_not_change_hands(tmp_path: Path, arguments: list[str]) -> None:
    assert sprawl("format", "--data-dir", str(tmp_path), "--node-id", "4").exit_code == 0
    result = sprawl("format", "--data-dir", str(tmp_path), *arguments)
    assert result.exit_code == 1
    assert "belongs to" in result.stderr


def test_format_refuses_a_directory_in_use(tmp_path: Path) -> None:
    release = process.RealRuntime().files.lock(str(tmp_path / ".lock"))
    try:
        result = sprawl("format", "--data-dir", str(tmp_path))
        assert result.exit_code == 1
        assert "running node" in result.stderr
    finally:
        release()


def test_format_takes_a_cluster_id_and_checks_it(tmp_path: Path) -> None:
    wanted = "q1Sh-9_ISia_zwGINzRvyQ"
    assert wanted in sprawl("format", "--data-dir", str(tmp_path / "a"), "--cluster-id", wanted).stdout
    assert sprawl("format", "--data-dir", str(tmp_path / "b"), "--cluster-id", "short").exit_code == 1


def test_a_directory_gets_the_secret_that_is_given_and_keeps_it(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    made = sprawl("format", "--data-dir", str(first)).stdout
    cluster_id = made.split("cluster ")[1].split(",")[0]
    secret = ["--secret-file", str(first / SECRET_FILE)]
    joined = sprawl("format", "--data-dir", str(second), "--node-id", "2", "--cluster-id", cluster_id, *secret)
    assert joined.exit_code == 0, joined.output
    assert (second / SECRET_FILE).read_bytes() == (first / SECRET_FILE).read_bytes()
    assert stat.S_IMODE((second / SECRET_FILE).stat().st_mode) == 0o600
    other = tmp_path / "other"
    other.write_bytes(b"A" * 44)
    refused = sprawl("format", "--data-dir", str(second), "--secret-file", str(other))
    assert refused.exit_code == 1
    assert "is another one" in refused.stderr
    assert (second / SECRET_FILE).read_bytes() == (first / SECRET_FILE).read_bytes()


@pytest.mark.parametrize(("text", "words"), [(b"", "base64"), (b"c2hvcnQ=", "16 bytes"), (None, "cannot be read")])
def test_a_file_that_is_no_secret_is_refused_before_anything_is_made(
    tmp_path: Path, text: bytes | None, words: str
) -> None:
    file, directory = tmp_path / "file", tmp_path / "data"
    if text is not None:
        file.write_bytes(text)
    result = sprawl("format", "--data-dir", str(directory), "--secret-file", str(file))
    assert result.exit_code == 1
    assert words in result.stderr
    assert not directory.exists()


def test_format_of_several_nodes_makes_one_cluster(tmp_path: Path) -> None:
    result = sprawl("format", "--nodes", "3", "--node-id", "4", "--data-dir", str(tmp_path))
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line.split(", ")[1] for line in lines] == ["node 4", "node 5", "node 6"]
    assert len({line.split("cluster ")[1].split(",")[0] for line in lines}) == 1
    assert len({(tmp_path / f"node-{n}" / SECRET_FILE).read_bytes() for n in (4, 5, 6)}) == 1


def test_a_lost_directory_of_several_is_made_for_the_same_cluster(tmp_path: Path) -> None:
    first = sprawl("format", "--nodes", "2", "--data-dir", str(tmp_path)).stdout
    secret = (tmp_path / "node-2" / SECRET_FILE).read_bytes()
    shutil.rmtree(tmp_path / "node-1")
    again = sprawl("format", "--nodes", "2", "--data-dir", str(tmp_path)).stdout
    assert again.split("cluster ")[1].split(",")[0] == first.split("cluster ")[1].split(",")[0]
    assert again.splitlines()[0] != first.splitlines()[0], "a new disk has a new directory id"
    assert (tmp_path / "node-1" / SECRET_FILE).read_bytes() == secret


def test_the_secret_may_be_kept_elsewhere(tmp_path: Path) -> None:
    assert sprawl("format", "--data-dir", str(tmp_path / "a")).exit_code == 0
    setting = ["--set", f"sprawl.cluster.secret.file={tmp_path / 'a' / SECRET_FILE}"]
    assert sprawl("format", "--data-dir", str(tmp_path / "b"), *setting).exit_code == 0
    assert not (tmp_path / "b" / SECRET_FILE).exists()
    missing = ["--set", "sprawl.cluster.secret.file=/no/such/secret"]
    refused = sprawl("format", "--data-dir", str(tmp_path / "c"), *missing)
    assert refused.exit_code == 1
    assert "/no/such/secret (from --set): there is no such file" in refused.stderr


@pytest.mark.parametrize("nodes", [[], ["--nodes", "2"]])
def test_seeds_without_the_clusters_secret_are_refused_with_the_way_out(tmp_path: Path, nodes: list[str]) -> None:
    arguments = [*nodes, "--data-dir", str(tmp_path / "d"), "--set", "sprawl.seeds=192.0.2.7:9092"]
    result = sprawl("format", *arguments)
    assert result.exit_code == 1
    assert "Copy cluster.secret" in result.stderr
    assert not list(tmp_path.glob("d/**/node.sqlite"))


def test_status_of_nobody_is_unreachable() -> None:
    result = sprawl("status", "--http", "127.0.0.1:1", "--timeout", "1")
    assert result.exit_code == 5
    assert "no answer" in result.stderr


def test_status_of_a_wrong_address_is_wrong_usage() -> None:
    assert sprawl("status", "--http", "nonsense").exit_code == 2


def test_config_list_shows_keys_with_their_meaning() -> None:
    rows = json.loads(sprawl("config", "list", "log.retention.ms", "-o", "json").stdout)
    assert [row["key"] for row in rows] == ["log.retention.ms"]
    assert "log.retention.ms" in sprawl("config", "list", "retention").stdout
    assert "zzz" not in sprawl("config", "list", "zzz").stdout


def test_config_list_all_shows_what_does_not_act_and_why() -> None:
    (row,) = json.loads(sprawl("config", "list", "num.io.threads", "--all", "-o", "json").stdout)
    assert row["meaning"].startswith("No effect: one event loop")


def test_config_show_tells_where_a_value_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPRAWL_DURABILITY", "disk")
    result = sprawl("config", "show", "durability", "-s", "xyzzy=1", "-o", "json")
    assert json.loads(result.stdout) == [{"key": "sprawl.durability", "value": "disk", "from": "SPRAWL_DURABILITY"}]
    assert "xyzzy (--set): unknown" in result.stderr


def test_config_check_names_what_has_no_effect(tmp_path: Path) -> None:
    file = tmp_path / "server.properties"
    file.write_text("num.partitions=3\nnum.io.threads=8\n")
    result = sprawl("config", "check", str(file))
    assert result.exit_code == 0
    assert f"no effect: num.io.threads ({file}:2): one event loop" in result.stdout
    assert "1 settings act, 1 have no effect" in result.stdout
    file.write_text("num.partitions=many\n")
    assert sprawl("config", "check", str(file)).exit_code == 1


PLAIN = [
    [],
    ["--data-dir", "/d", "--listeners", "PLAINTEXT://127.0.0.1:1", "--http", "127.0.0.1:2", "--node-id", "6"],
    ["-d", "/d", "-s", "num.partitions=3", "--set", "log.roll.hours=2"],
    ["--data-dir=/d", "--set=num.partitions=3", "--insecure"],
    ["--seeds", "a:1", "--seeds=b:2,c:3", "--node-id", "4"],
]


@pytest.mark.parametrize("arguments", PLAIN)
def test_the_short_way_to_a_start_means_the_same_as_the_long_one(started: list[Loaded], arguments: list[str]) -> None:
    plain = plain_start(["start", *arguments])
    assert plain is not None
    assert sprawl("start", *arguments).exit_code == 0
    loaded = load_start(plain.file, plain.pairs, plain.options)
    assert loaded.config == started[0].config
    assert loaded.config.sources == started[0].config.sources


@pytest.mark.parametrize("arguments", [["--nodes", "3"], ["--restart", "--nodes=3", "--node-id", "4", "-d", "/d"]])
def test_both_ways_lead_to_the_same_nodes(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    def run(loaded: Loaded, nodes: int, *, restart: bool) -> int:
        found.append((loaded.config, nodes, restart))
        return 0

    found: list[object] = []
    monkeypatch.setattr(supervisor, "run", run)
    assert sprawl("start", *arguments).exit_code == 0
    monkeypatch.setattr(sys, "argv", ["sprawl", "start", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert plain_start(["start", *arguments]) is not None
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "arguments",
    [
        ["start", "--restart"],
        ["start", "--nodes", "0"],
        ["start", "--nodes", "many"],
        ["version"],
        ["start", "--help"],
        ["start", "--nonsense", "x"],
        ["start", "extra"],
        ["start", "--data-dir"],
        ["start", "--data-dir", "--insecure"],
        ["start", "--node-id", "x"],
        ["start", "--insecure=true"],
        ["start", "-dx"],
        [],
    ],
)
def test_everything_else_goes_the_long_way(arguments: list[str]) -> None:
    assert plain_start(arguments) is None
