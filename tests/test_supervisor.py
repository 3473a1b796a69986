"""A cluster on one machine: what the parent does for its nodes. Most tests have a stand-in for the node's process."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sprawl.config.broker import BrokerConfig
from sprawl.config.members import members_of
from sprawl.supervisor import Backoff, Supervisor
from tests.test_start import BIN, START_SECONDS, STOP_SECONDS, Process, free_port, run

STAND_IN = """
import json, os, signal, sys
name, directory = sys.argv[1:]
line = sys.stdin.buffer.raw.readline()
settings = {key: value for key, (value, _) in json.loads(line).items()}
def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())  # print may not be interrupted by a print
def told(*_):
    say("told")
    os._exit(0)
signal.signal(signal.SIGTERM, told)
def serve():
    say("up")
    while os.read(0, 100):
        pass
    say("alone")
    os._exit(3)
"""
"""Reads its settings and then does what a test adds."""


class Watched:
    """A supervisor of stand-ins, what was said through it, and what to do once something was said."""

    def __init__(self, script: str, nodes: int = 2, *, restart: bool = False, grace: float = 60.0) -> None:
        base = {"listeners": "PLAINTEXT://127.0.0.1:9092", "log.dirs": "/d", "sprawl.shutdown.timeout.ms": "0"}
        self._members = members_of(BrokerConfig.of(base), nodes, "here")
        self._command = (sys.executable, "-S", "-E", "-c", STAND_IN + script)
        self._restart = restart
        self._grace = grace
        self._reactions: list[tuple[str, int, Callable[[], None]]] = []
        self.said = ""

    def when(self, words: str, react: Callable[[], None], *, times: int = 1) -> Watched:
        self._reactions.append((words, times, react))
        return self

    def run(self) -> int:
        async def main() -> int:
            async with asyncio.timeout(30):
                supervisor = Supervisor(
                    self._members,
                    restart=self._restart,
                    command=self._command,
                    backoff=lambda: Backoff(first=0.01),
                    grace=self._grace,
                    write=self._heard,
                )
                return await supervisor.run()

        return asyncio.run(main())

    def lines(self) -> list[str]:
        return sorted(self.said.splitlines())

    def _heard(self, text: bytes) -> None:
        self.said += text.decode()
        for reaction in self._reactions[:]:
            words, times, react = reaction
            if self.said.count(words) >= times:
                self._reactions.remove(reaction)
                react()


def stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "sprawl.supervisor")
    return caplog


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_parent_stops_all_nodes_cleanly(number: signal.Signals) -> None:
    cluster = Watched("serve()", 3).when("up", lambda: os.kill(os.getpid(), number), times=3)
    assert cluster.run() == 0
    assert cluster.lines() == [f"node-{n} | {word}" for n in (1, 2, 3) for word in ("told", "up")]


def test_each_node_is_told_its_settings_and_named_in_the_process_list() -> None:
    cluster = Watched('say(name, directory, settings["node.id"], settings["listeners"], settings["sprawl.seeds"])')
    cluster.run()
    assert cluster.lines() == [
        "node-1 | node-1 /d/node-1 1 PLAINTEXT://127.0.0.1:9092 127.0.0.1:9093",
        "node-2 | node-2 /d/node-2 2 PLAINTEXT://127.0.0.1:9093 127.0.0.1:9092",
    ]


def test_what_a_node_says_goes_through_line_by_line_errors_and_long_lines_too() -> None:
    cluster = Watched('print("an error", file=sys.stderr, flush=True); say("x" * 200_000); print("no end", end="")', 1)
    cluster.run()
    lines = cluster.said.splitlines()
    assert lines[0] == "node-1 | an error"
    assert lines[-1] == "node-1 | no end"
    assert all(line.startswith("node-1 | ") for line in lines)
    assert "".join(line.removeprefix("node-1 | ") for line in lines[1:-1]) == "x" * 200_000


CRASH_OF_THE_SECOND = """
if name == "node-2":
    say("crash")
    os.kill(os.getpid(), signal.SIGKILL)
serve()
"""


def test_a_node_that_dies_leaves_the_others_running_and_stays_dead(logged: pytest.LogCaptureFixture) -> None:
    class Death(logging.Handler):
        """The parent is stopped only once it has said how the node ended, and the other one serves."""

        def emit(self, record: logging.LogRecord) -> None:
            if "was ended by" in record.getMessage():
                seen.append("died")
                end()

    seen: list[str] = []

    def end() -> None:
        if len(seen) == 2:
            stop()

    def up() -> None:
        seen.append("up")
        end()

    handler = Death()
    logging.getLogger("sprawl.supervisor").addHandler(handler)
    try:
        cluster = Watched(CRASH_OF_THE_SECOND).when("node-1 | up", up)
        assert cluster.run() == 1
    finally:
        logging.getLogger("sprawl.supervisor").removeHandler(handler)
    assert cluster.said.count("crash") == 1
    assert "node-1 | told" in cluster.said, "it was alive when the parent was told to stop"
    assert re.search(r"node-2 was ended by SIGKILL after [\d.]+ s; it is not started again", logged.text)


def test_with_restart_a_node_that_dies_is_started_again_each_time_later(logged: pytest.LogCaptureFixture) -> None:
    cluster = Watched('say("up"); sys.exit(7)', 1, restart=True).when("up", stop, times=4)
    cluster.run()
    waits = re.findall(r"node-1 ended with exit code 7 after [\d.]+ s; starting it again in ([\d.]+) s", logged.text)
    assert waits[:3] == ["0.01", "0.02", "0.04"]


def test_a_stop_ends_the_waiting_for_a_restart(logged: pytest.LogCaptureFixture) -> None:
    class Long(Backoff):
        def after(self, lived: float) -> float:
            asyncio.get_running_loop().call_soon(stop)
            return 1e6

    async def main() -> int:
        supervisor = Supervisor(
            members_of(BrokerConfig(), 1, "here"),
            restart=True,
            command=(sys.executable, "-S", "-c", "raise SystemExit(1)"),
            backoff=Long,
        )
        async with asyncio.timeout(30):
            return await supervisor.run()

    assert asyncio.run(main()) == 1
    assert "starting it again in 1e+06 s" in logged.text


def test_a_node_that_was_stopped_by_somebody_is_not_started_again(logged: pytest.LogCaptureFixture) -> None:
    cluster = Watched('say("up")', restart=True)
    assert cluster.run() == 0
    assert cluster.lines() == ["node-1 | up", "node-2 | up"]
    assert "no node is left" in logged.text


def test_a_parent_whose_nodes_are_all_dead_ends_with_1(logged: pytest.LogCaptureFixture) -> None:
    assert Watched("sys.exit(9)").run() == 1
    assert "node-2 ended with exit code 9" in logged.text


def test_a_node_that_does_not_stop_cleanly_makes_the_exit_code_1() -> None:
    script = 'signal.signal(signal.SIGTERM, lambda *_: os._exit(1 if name == "node-2" else 0)); serve()'
    assert Watched(script).when("up", stop, times=2).run() == 1


def test_a_node_that_does_not_stop_is_killed(logged: pytest.LogCaptureFixture) -> None:
    script = "signal.signal(signal.SIGTERM, signal.SIG_IGN); serve()"
    assert Watched(script, 1, grace=0.05).when("up", stop).run() == 1
    assert "node-1 did not stop within 0.05 s; it is killed" in logged.text


def test_a_second_signal_kills_at_once() -> None:
    script = 'signal.signal(signal.SIGTERM, lambda *_: say("not yet")); serve()'
    assert Watched(script, 1).when("up", stop).when("not yet", stop).run() == 1


def test_a_command_that_cannot_be_run_is_told(logged: pytest.LogCaptureFixture) -> None:
    supervisor = Supervisor(members_of(BrokerConfig(), 1, "here"), restart=False, command=("/no/such/command",))
    assert asyncio.run(supervisor.run()) == 1
    assert "node-1 cannot be started" in logged.text


def test_nodes_do_not_get_the_signals_of_the_parents_terminal() -> None:
    cluster = Watched("say(os.getpgrp() == os.getpid())", 1)
    cluster.run()
    assert cluster.lines() == ["node-1 | True"]


PARENT = """
import asyncio, sys
from sprawl.config.broker import BrokerConfig
from sprawl.config.members import members_of
from sprawl.supervisor import Supervisor
members = members_of(BrokerConfig(), 2, "here")
asyncio.run(Supervisor(members, restart=False, command=(sys.executable, "-S", "-c", sys.argv[1])).run())
"""
CONNECTED = """
import socket
line = socket.create_connection(("127.0.0.1", PORT))
line.sendall(b".")
try:
    serve()
finally:
    os._exit(3)
"""


def test_nodes_notice_that_their_parent_was_killed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(START_SECONDS)
        script = STAND_IN + CONNECTED.replace("PORT", str(server.getsockname()[1]))
        with subprocess.Popen([sys.executable, "-c", PARENT, script], stderr=subprocess.DEVNULL) as parent:
            nodes = [server.accept()[0] for _ in range(2)]
            try:
                for node in nodes:
                    node.settimeout(STOP_SECONDS)
                    assert node.recv(1) == b"."
                parent.kill()
                assert [node.recv(1) for node in nodes] == [b"", b""], "their ends close as they end"
            finally:
                for node in nodes:
                    node.close()
                parent.kill()


def test_backoff_grows_to_a_limit_and_starts_over_after_a_long_life() -> None:
    backoff = Backoff(first=1.0, longest=5.0, healthy=10.0)
    assert [backoff.after(lived) for lived in (0, 0, 0, 0, 0)] == [1, 2, 4, 5, 5]
    assert [backoff.after(lived) for lived in (10, 9)] == [1, 2]


# -- with real nodes ----------------------------------------------------------------------------------------


def free_ports(count: int) -> int:
    """The first of so many free ports in a row."""
    while True:
        first = free_port()
        try:
            for port in range(first, first + count):
                socket.create_server(("127.0.0.1", port)).close()
        except (OSError, OverflowError):
            continue
        return first


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    made: list[Process] = []

    def start(*arguments: str) -> Process:
        kafka, http = free_ports(2), free_ports(2)
        log = tmp_path / "log"
        command = [str(BIN / "sprawl"), "start", "--nodes", "2", "--data-dir", str(tmp_path / "d"), *arguments]
        command += ["--listeners", f"PLAINTEXT://127.0.0.1:{kafka}", "--http", f"127.0.0.1:{http}"]
        with log.open("w") as file:
            child = subprocess.Popen(command, stdout=file, stderr=file, stdin=subprocess.DEVNULL, text=True)
        made.append(Process(child, log, kafka, http))
        return made[-1]

    yield start
    for process in made:
        process.child.kill()
        process.child.wait()


def wait_until(process: Process, what: Callable[[], bool]) -> None:
    import time

    deadline = time.monotonic() + START_SECONDS
    while not what():
        assert time.monotonic() < deadline, f"not in time:\n{process.said()}"
        time.sleep(0.02)


def wait_for_nodes(parent: Process) -> None:
    def up() -> bool:
        assert "ended with" not in parent.said(), parent.said()
        return parent.said().count("ready in") == 2

    wait_until(parent, up)


def ready(port: int) -> bool:
    return run("sprawl", "status", "--http", f"127.0.0.1:{port}").returncode == 0


def test_two_real_nodes_start_and_stop(cluster: Callable[..., Process], tmp_path: Path) -> None:
    parent = cluster()
    wait_for_nodes(parent)
    assert ready(parent.http) and ready(parent.http + 1)
    assert sorted(path.name for path in (tmp_path / "d").iterdir()) == ["node-1", "node-2"]
    assert parent.stop() == 0, parent.said()
    secrets = {(tmp_path / "d" / name / "cluster.secret").read_bytes() for name in ("node-1", "node-2")}
    assert len(secrets) == 1
    assert "node-2 | " in parent.said()


def test_real_nodes_stop_cleanly_once_their_parent_was_killed(cluster: Callable[..., Process], tmp_path: Path) -> None:
    parent = cluster()
    wait_for_nodes(parent)
    parent.child.kill()
    parent.child.wait()
    command = ["format", "--nodes", "2", "--data-dir", str(tmp_path / "d")]
    wait_until(parent, lambda: run("sprawl", *command).returncode == 0)  # it is refused while a node is running


def test_a_directory_of_one_node_is_not_taken_for_several(tmp_path: Path) -> None:
    assert run("sprawl", "format", "--data-dir", str(tmp_path)).returncode == 0
    refused = run("sprawl", "start", "--nodes", "2", "--data-dir", str(tmp_path))
    assert refused.returncode == 1
    assert "has the data of one node" in refused.stderr
