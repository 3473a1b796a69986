"""One node as one process: readiness, signals, exit codes; with a stand-in for the node."""

from __future__ import annotations

import asyncio
import http.client
import logging
import os
import resource
import signal
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sprawl import process
from sprawl.config.broker import BrokerConfig
from sprawl.config.loading import Loaded
from sprawl.observability.metrics import Registry
from sprawl.runtime import Runtime
from sprawl_protocol.errors import ApiError, ErrorCode


class StandIn:
    """A node that does what a test tells it, and records what was done to it."""

    on_start: Callable[[], None] = staticmethod(lambda: None)
    start_blocks = False
    stop_blocks = False
    fails = False
    made: list[StandIn]

    def __init__(self, config: BrokerConfig, runtime: Runtime) -> None:
        self.config = config
        self.metrics = Registry()
        self.ready = False
        self.stopped = False
        self.addresses = (("PLAINTEXT", "127.0.0.1", 9092),)
        type(self).made.append(self)

    async def start(self) -> None:
        type(self).on_start()
        if self.start_blocks:
            await asyncio.Event().wait()
        self.ready = True

    async def failed(self) -> None:
        if not self.fails:
            await asyncio.Event().wait()

    async def stop(self) -> None:
        if self.stop_blocks:
            await asyncio.Event().wait()
        self.stopped = True


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[StandIn]]:
    monkeypatch.chdir(tmp_path)  # where the data directory is, unless a test says otherwise

    class Node(StandIn):
        made: list[StandIn] = []  # noqa: RUF012 - a fresh list per test

    module = types.ModuleType("sprawl.node")
    module.Node = Node  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sprawl.node", module)
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield Node
    root.handlers[:] = before
    root.setLevel(level)
    logging.raiseExceptions = True


def run(**given: str) -> int:
    return process.run(Loaded(BrokerConfig.of({key.replace("_", "."): value for key, value in given.items()}), ()))


def soon(signal_number: signal.Signals) -> None:
    asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal_number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_node_cleanly(
    node: type[StandIn], number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    node.on_start = staticmethod(lambda: soon(number))
    assert run() == 0
    assert node.made[0].stopped
    said = capsys.readouterr().err
    assert "ready in" in said
    assert "PLAINTEXT://127.0.0.1:9092" in said
    assert said.rstrip().endswith("stopped")


def test_a_signal_while_starting_stops_the_start(node: type[StandIn]) -> None:
    node.start_blocks = True
    node.on_start = staticmethod(lambda: soon(signal.SIGTERM))
    assert run() == 0
    assert node.made[0].stopped


def test_a_node_that_fails_ends_the_process_with_1(node: type[StandIn]) -> None:
    node.fails = True
    assert run() == 1
    assert node.made[0].stopped


@pytest.mark.parametrize(
    "problem",
    [OSError(98, "address already in use"), ApiError(ErrorCode.KAFKA_STORAGE_ERROR, "the disk is gone")],
)
def test_a_node_that_cannot_start_says_why_and_ends_with_1(
    node: type[StandIn], problem: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise problem

    node.on_start = staticmethod(refuse)
    assert run() == 1
    assert "cannot start" in capsys.readouterr().err


def test_a_bug_is_logged_whole_and_ends_with_1(node: type[StandIn], capsys: pytest.CaptureFixture[str]) -> None:
    node.on_start = staticmethod(lambda: {}["missing"])
    assert run() == 1
    assert node.made[0].stopped
    said = capsys.readouterr().err
    assert "this is a bug" in said
    assert "KeyError: 'missing'" in said


def test_a_stop_that_hangs_ends_with_1(
    node: type[StandIn], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(process, "_STOP_GRACE", 0.01)
    node.stop_blocks = True
    node.on_start = staticmethod(lambda: soon(signal.SIGTERM))
    assert run(sprawl_shutdown_timeout_ms="1") == 1
    assert "did not stop in time" in capsys.readouterr().err


def test_the_second_signal_ends_the_process_at_once(node: type[StandIn], monkeypatch: pytest.MonkeyPatch) -> None:
    def end(code: int) -> None:
        ended.append(code)
        asyncio.get_running_loop().stop()

    ended: list[int] = []
    monkeypatch.setattr(process.os, "_exit", end)
    node.stop_blocks = True

    def twice() -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(os.kill, os.getpid(), signal.SIGTERM)
        loop.call_later(0.05, os.kill, os.getpid(), signal.SIGTERM)

    node.on_start = staticmethod(twice)
    with pytest.raises(RuntimeError, match="stopped before"):
        run()
    assert ended == [1]


def test_status_pages_tell_the_stages_of_a_life(node: type[StandIn], capsys: pytest.CaptureFixture[str]) -> None:
    seen: dict[str, int] = {}

    def ask(port: int) -> None:
        for path in ("/livez", "/startupz", "/readyz", "/metrics"):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", path)
            seen[path] = connection.getresponse().status
            connection.close()

    class Ready(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage().startswith("ready in"):
                tasks.append(asyncio.get_running_loop().create_task(question()))

    async def question() -> None:
        port = int(capsys.readouterr().err.split("http://127.0.0.1:")[1].split()[0])
        try:
            await asyncio.to_thread(ask, port)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    tasks: list[asyncio.Task[None]] = []
    handler = Ready()
    logging.getLogger("sprawl.process").addHandler(handler)
    try:
        assert run(sprawl_http_listener="127.0.0.1:0") == 0
    finally:
        logging.getLogger("sprawl.process").removeHandler(handler)
    assert seen == {"/livez": 200, "/startupz": 200, "/readyz": 200, "/metrics": 200}


def test_a_status_port_in_use_is_told(node: type[StandIn], capsys: pytest.CaptureFixture[str]) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert run(sprawl_http_listener=f"127.0.0.1:{taken.getsockname()[1]}") == 1
    assert "cannot start" in capsys.readouterr().err


def test_insecurity_and_keys_without_effect_are_told_at_start(
    node: type[StandIn], capsys: pytest.CaptureFixture[str]
) -> None:
    from sprawl.config.loading import load, parse_pair

    node.on_start = staticmethod(lambda: soon(signal.SIGTERM))
    assert process.run(load(arguments=[parse_pair("sprawl.insecure=true"), parse_pair("num.io.threads=8")])) == 0
    said = capsys.readouterr().err
    assert "INSECURE" in said
    assert "1 setting has no effect: num.io.threads (--set)" in said


def test_a_node_stops_when_its_lifeline_ends(node: type[StandIn], capsys: pytest.CaptureFixture[str]) -> None:
    end, held = os.pipe()
    node.on_start = staticmethod(lambda: os.close(held))
    try:
        assert process.run(Loaded(BrokerConfig(), ()), lifeline=end) == 0
    finally:
        os.close(end)
    assert node.made[0].stopped
    assert "the supervisor is gone; stopping" in capsys.readouterr().err


def test_a_supervised_node_leaves_the_second_signal_to_its_supervisor(node: type[StandIn]) -> None:
    class Slow(node):  # type: ignore[valid-type, misc]
        async def stop(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(0.05)  # the signal is handled meanwhile
            self.stopped = True

    sys.modules["sprawl.node"].Node = Slow  # type: ignore[attr-defined]
    node.on_start = staticmethod(lambda: soon(signal.SIGTERM))
    end, held = os.pipe()
    try:
        assert process.run(Loaded(BrokerConfig(), ()), lifeline=end) == 0
    finally:
        os.close(end)
        os.close(held)


def test_a_node_knows_the_machine_it_is_on(node: type[StandIn]) -> None:
    node.on_start = staticmethod(lambda: soon(signal.SIGTERM))
    assert run() == 0
    assert run(sprawl_host="rack-3") == 0
    assert [one.config.sprawl_host for one in node.made] == [os.uname().nodename, "rack-3"]


def test_a_new_node_gets_a_secret_and_one_with_seeds_needs_one(
    node: type[StandIn], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node.on_start = staticmethod(lambda: soon(signal.SIGTERM))
    assert run() == 0
    secret = tmp_path / "data" / "cluster.secret"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert run(log_dirs="other", sprawl_seeds="192.0.2.7:9092") == 1
    assert "Copy cluster.secret" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
    secret.write_text("short")
    assert run() == 1
    assert "cluster secret=data/cluster.secret: must be base64" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("limits", "wanted", "warned"),
    [
        ((1024, 524_288), (524_288, 524_288), False),
        ((1024, 4096), (4096, 4096), True),
        ((1024, resource.RLIM_INFINITY), (1_048_576, resource.RLIM_INFINITY), False),
        ((524_288, 524_288), None, False),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), None, False),
    ],
)
def test_a_node_may_open_as_many_files_as_the_system_allows(
    node: type[StandIn],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    limits: tuple[int, int],
    wanted: tuple[int, int] | None,
    warned: bool,
) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: asked.append(pair))
    node.on_start = staticmethod(lambda: soon(signal.SIGTERM))
    assert run() == 0
    assert asked == ([] if wanted is None else [wanted])
    assert ("LimitNOFILE" in capsys.readouterr().err) is warned
