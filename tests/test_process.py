"""One node as one process: readiness, signals, exit codes; with a stand-in for the node."""

from __future__ import annotations

import asyncio
import http.client
import logging
import os
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

    def when_ready() -> None:
        port = int(capsys.readouterr().err.split("http://127.0.0.1:")[1].split()[0])

        async def question() -> None:
            try:
                await asyncio.to_thread(ask, port)
            finally:
                os.kill(os.getpid(), signal.SIGTERM)

        tasks.append(asyncio.get_running_loop().create_task(question()))

    tasks: list[asyncio.Task[None]] = []
    node.on_start = staticmethod(when_ready)
    assert run(sprawl_http_listener="127.0.0.1:0") == 0
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
