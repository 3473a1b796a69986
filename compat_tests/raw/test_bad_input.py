"""Port scans, HTTP, absurd lengths and noise: refused, told in the log once each, and nobody else notices."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from compat_tests import brokers
from compat_tests.brokers import Server
from compat_tests.conftest import StartBroker, create_topic
from compat_tests.raw.wire import Connection, message
from compat_tests.waiting import until

pytestmark = [pytest.mark.feature("bad input"), pytest.mark.timeout(300)]
#: What the broker may grow by: buffers of the connections that come and go, not what the peers claim to send.
_GROWTH = 48 << 20


class Bystander:
    """An ordinary client that writes and reads all the while, and remembers what went wrong."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.sent = self.read = 0
        self.wrong: list[str] = []
        self._stop = threading.Event()
        self._bootstrap, self._topic = bootstrap, topic
        self._thread = threading.Thread(target=self._echo)

    def _echo(self) -> None:
        settings = {"bootstrap.servers": self._bootstrap, "error_cb": lambda error: self.wrong.append(str(error))}
        producer = Producer({**settings, "linger.ms": 0})
        consumer = Consumer({**settings, "group.id": "bystander"})
        consumer.assign([TopicPartition(self._topic, 0, 0)])
        while not self._stop.is_set():
            producer.produce(self._topic, b"%d" % self.sent)
            self.sent += 1
            producer.poll(0)
            message = consumer.poll(15)
            if message is None or message.error() or int(message.value()) != self.read:
                self.wrong.append(f"echo {self.read}: {message and (message.error() or message.value())}")
                break
            self.read += 1
        producer.flush(10)
        consumer.close()

    def __enter__(self) -> Bystander:
        self._thread.start()
        until("the bystander's first echo", lambda: self.read or self.wrong)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A broker of this module's own: what is done to it is not to spoil other tests."""
    with brokers.server(tmp_path_factory.mktemp("victim")) as running:
        yield running


@pytest.fixture
def bystander(victim: Server, new_name: Callable[[], str]) -> Iterator[Bystander]:
    topic = create_topic(AdminClient({"bootstrap.servers": victim.bootstrap}), new_name())
    with Bystander(victim.bootstrap, topic) as one:
        yield one
    assert not one.wrong
    assert one.read == one.sent > 0


def memory(broker: Server) -> int:
    return int(psutil.Process(broker.pid).memory_info().rss)


def lines(log: Path) -> list[str]:
    return log.read_text(errors="replace").splitlines()


@contextlib.contextmanager
def watched(broker: Server, at_most: int, at_least: int = 0) -> Iterator[None]:
    """Bounds what happens to the broker meanwhile: lines in its log, memory. Kafka's own habits are not our matter."""
    said, used = len(lines(broker.log_path)), memory(broker)
    yield
    assert psutil.pid_exists(broker.pid)
    if brokers.is_kafka():
        return
    until("the log's lines", lambda: len(lines(broker.log_path)) - said >= at_least)
    fresh = lines(broker.log_path)[said:]
    assert len(fresh) <= at_most, f"{len(fresh)} lines: {fresh[:3]} ... {fresh[-3:]}"
    assert not [line for line in fresh if "Traceback" in line or line.startswith("  File ")]
    grown = memory(broker) - used
    assert grown < _GROWTH, f"the broker grew by {grown >> 20} MiB"


def send(broker: Server, data: bytes, *, finish: bool = False) -> bytes:
    """Sends and waits until the broker closes; gives what it said. `finish`: says that no more will come."""
    said = bytearray()
    peer = socket.create_connection(("127.0.0.1", broker.port), timeout=20)
    with peer, contextlib.suppress(ConnectionError):
        peer.sendall(data)
        if finish:
            peer.shutdown(socket.SHUT_WR)
        while part := peer.recv(65536):
            said += part
    return bytes(said)


def test_a_port_scan_is_nothing(victim: Server, bystander: Bystander) -> None:
    with watched(victim, at_most=500):
        for _ in range(500):
            socket.create_connection(("127.0.0.1", victim.port)).close()


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        b"SSH-2.0-OpenSSH_9.2\r\n",
        struct.pack(">i", 1 << 30) + b"\0\3\0\x0c",
        struct.pack(">i", -1) + b"\0\3",
        struct.pack(">i", 2**31 - 1),
        struct.pack(">i", 0),
        struct.pack(">ih", 2, 3),
    ],
    ids=["HTTP", "TLS hello", "SSH", "1 GiB", "minus one", "2 GiB", "nothing", "half a header"],
)
def test_what_is_no_request_closes_the_connection_with_one_line_in_the_log(
    victim: Server, bystander: Bystander, data: bytes
) -> None:
    with watched(victim, at_most=2, at_least=1):
        assert send(victim, data) == b""


@pytest.mark.skipif(brokers.is_kafka(), reason="Apache Kafka allocates what a peer claims, and runs out of memory")
def test_lengths_that_are_only_claimed_cost_nothing(victim: Server, bystander: Bystander) -> None:
    """Two hundred peers claim 50 MB each (below the limit), send a little, and fall silent."""
    with watched(victim, at_most=400), contextlib.ExitStack() as peers:
        for _ in range(200):
            peer = peers.enter_context(socket.create_connection(("127.0.0.1", victim.port)))
            peer.sendall(struct.pack(">i", 50 << 20) + b"\0\0\0\x09" + bytes(1000))
        for _ in range(20):
            with Connection(victim.port) as connection:
                assert connection.ask(message("ApiVersionsRequest")(), 0).error_code == 0


def test_arrays_that_are_only_claimed_cost_nothing(victim: Server, bystander: Bystander) -> None:
    """A Metadata v1 request that claims two thousand million topics in a body of eight bytes."""
    body = struct.pack(">hhih", 3, 1, 1, -1) + struct.pack(">i", 2**31 - 1) + b"\0\1a\0"
    with watched(victim, at_most=100, at_least=1):
        for _ in range(50):
            assert send(victim, struct.pack(">i", len(body)) + body) == b""


def frames(count: int, seed: int) -> Iterator[bytes]:
    """Noise in frames: a third all random, the rest with a true API key and version before a random body."""
    chance = random.Random(seed)
    for _ in range(count):
        noise = chance.randbytes(chance.randrange(0, 300))
        if chance.random() < 0.67:
            noise = struct.pack(">hhih", chance.randrange(0, 95), chance.randrange(0, 19), 1, -1) + noise
        yield struct.pack(">i", len(noise)) + noise


def test_ten_thousand_random_frames_do_no_harm(victim: Server, bystander: Bystander) -> None:
    for frame in frames(500, seed=1):
        send(victim, frame, finish=True)
    with watched(victim, at_most=10_500):
        for frame in frames(10_000, seed=2):
            send(victim, frame, finish=True)
        with Connection(victim.port) as connection:
            assert connection.ask(message("ApiVersionsRequest")(), 0).error_code == 0


def test_a_peer_that_stops_in_the_middle_of_a_frame_is_let_go(start_broker: StartBroker) -> None:
    broker = start_broker({"connections.max.idle.ms": "1500"})
    with contextlib.ExitStack() as peers:
        silent = []
        for partial in (b"", b"\0\0", struct.pack(">i", 100), struct.pack(">i", 100) + b"\0\3\0\x01"):
            connection = peers.enter_context(Connection(broker.port))
            connection.send_bytes(partial)
            silent.append(connection)
        for connection in silent:
            assert connection.closed_by_broker(20), "a silent peer is still connected"
