"""`sprawl start` as a user runs it: a child process on free ports, until it is told to stop."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
START_SECONDS = 20.0
STOP_SECONDS = 10.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


@dataclass
class Process:
    """A started node."""

    child: subprocess.Popen[str]
    log: Path
    kafka: int
    http: int

    def said(self) -> str:
        return self.log.read_text()

    def wait_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while "ready in" not in self.said():
            assert self.child.poll() is None, f"ended while starting:\n{self.said()}"
            assert time.monotonic() < deadline, f"not ready in time:\n{self.said()}"
            time.sleep(0.01)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.child.send_signal(number)
        return self.child.wait(STOP_SECONDS)


Start = Callable[..., Process]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    made: list[Process] = []

    def one(*arguments: str, kafka: int | None = None, http: int | None = None, name: str = "data") -> Process:
        kafka, http = kafka or free_port(), http or free_port()
        log = tmp_path / f"log-{len(made)}"
        command = [str(BIN / "sprawl"), "start", "--data-dir", str(tmp_path / name)]
        command += ["--listeners", f"PLAINTEXT://127.0.0.1:{kafka}", "--http", f"127.0.0.1:{http}", *arguments]
        with log.open("w") as file:
            child = subprocess.Popen(command, stdout=file, stderr=file, stdin=subprocess.DEVNULL, text=True)
        made.append(Process(child, log, kafka, http))
        return made[-1]

    yield one
    for process in made:
        process.child.kill()
        process.child.wait()


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(BIN / command[0]), *command[1:]], capture_output=True, text=True, timeout=30, check=False
    )


def admin(process: Process, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run("sprawl-admin", *arguments, "--bootstrap", f"127.0.0.1:{process.kafka}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_node_starts_tells_that_it_is_ready_and_stops_cleanly(start: Start, number: signal.Signals) -> None:
    node = start()
    node.wait_ready()
    status = run("sprawl", "status", "--http", f"127.0.0.1:{node.http}")
    assert (status.returncode, status.stdout) == (0, f"127.0.0.1:{node.http}: ready\n")
    began = time.monotonic()
    assert node.stop(number) == 0, node.said()
    assert time.monotonic() - began < 5
    assert node.said().rstrip().endswith("stopped")
    assert run("sprawl", "status", "--http", f"127.0.0.1:{node.http}").returncode == 5


def test_topics_can_be_administered_and_outlive_a_restart(start: Start) -> None:
    node = start()
    node.wait_ready()
    made = admin(node, "topic", "create", "words", "--partitions", "3", "--set", "retention.ms=60000", "-o", "json")
    assert made.returncode == 0, made.stderr
    topic_id = json.loads(made.stdout)["id"]
    again = admin(node, "topic", "create", "words")
    assert again.returncode == 6
    assert "TOPIC_ALREADY_EXISTS" in again.stderr
    wrong = admin(node, "topic", "create", "other", "--set", "retention.ms=-5")
    assert wrong.returncode == 1
    assert "retention.ms" in wrong.stderr
    cluster = json.loads(admin(node, "cluster", "describe", "-o", "json").stdout)
    assert [broker["port"] for broker in cluster["brokers"]] == [node.kafka]
    assert node.stop() == 0

    node = start()
    node.wait_ready()
    found = json.loads(admin(node, "topic", "describe", "words", "-o", "json").stdout)
    assert found["id"] == topic_id
    assert found["settings"] == {"retention.ms": "60000"}
    assert len(found["partitions"]) == 3
    assert json.loads(admin(node, "cluster", "describe", "-o", "json").stdout)["cluster_id"] == cluster["cluster_id"]
    deleted = admin(node, "topic", "delete", "words", "--yes")
    assert deleted.returncode == 0, deleted.stderr
    assert json.loads(admin(node, "topic", "list", "-o", "json").stdout) == []
    assert "UNKNOWN_TOPIC_OR_PARTITION" in admin(node, "topic", "describe", "words").stderr


def test_metrics_are_served(start: Start) -> None:
    import http.client

    node = start()
    node.wait_ready()
    connection = http.client.HTTPConnection("127.0.0.1", node.http, timeout=5)
    connection.request("GET", "/metrics")
    body = connection.getresponse().read().decode()
    connection.close()
    assert "process_resident_memory_bytes" in body
    assert "sprawl_build_info" in body


def test_a_second_node_on_the_same_directory_is_refused(start: Start) -> None:
    first = start()
    first.wait_ready()
    second = start()
    assert second.child.wait(START_SECONDS) == 1
    assert "cannot start" in second.said()
    assert first.stop() == 0


def test_a_port_in_use_is_told(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        node = start(kafka=taken.getsockname()[1])
        assert node.child.wait(START_SECONDS) == 1
        assert "cannot start" in node.said()
        assert str(taken.getsockname()[1]) in node.said()


def test_another_nodes_directory_is_refused(start: Start) -> None:
    first = start("--node-id", "4")
    first.wait_ready()
    assert first.stop() == 0
    second = start("--node-id", "5")
    assert second.child.wait(START_SECONDS) == 1
    assert "belongs to node 4" in second.said()


def test_wrong_settings_are_code_2(start: Start) -> None:
    node = start("--set", "num.partitions=0")
    assert node.child.wait(START_SECONDS) == 2
    assert "num.partitions=0 (from --set): must be at least 1." in node.said()


def test_a_node_that_was_killed_starts_again(start: Start) -> None:
    node = start()
    node.wait_ready()
    assert admin(node, "topic", "create", "kept").returncode == 0
    node.child.kill()
    node.child.wait()
    node = start()
    node.wait_ready()
    assert [topic["name"] for topic in json.loads(admin(node, "topic", "list", "-o", "json").stdout)] == ["kept"]
    assert node.stop() == 0
