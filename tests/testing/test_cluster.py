"""A cluster in process: what starts, what a client sees, and that nothing is left of it."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from kafka import KafkaConsumer, KafkaProducer

from sprawl.config.errors import ConfigError
from sprawl.testing import Cluster, ClusterError, NodeFailedError, RefusedError

# kafka-python leaves sockets open that it could not connect.
pytestmark = pytest.mark.filterwarnings(r"ignore:unclosed <socket.*'0\.0\.0\.0':ResourceWarning")


def send(cluster: Cluster, topic: str, *values: bytes) -> None:
    with KafkaProducer(bootstrap_servers=cluster.bootstrap_servers, acks="all") as producer:
        for value in values:
            producer.send(topic, value).get(timeout=20)


def read(cluster: Cluster, topic: str, count: int) -> list[bytes]:
    consumer = KafkaConsumer(
        topic,
        bootstrap_servers=cluster.bootstrap_servers,
        auto_offset_reset="earliest",
        consumer_timeout_ms=20_000,
    )
    try:
        return [message.value for _, message in zip(range(count), consumer, strict=False)]
    finally:
        consumer.close(autocommit=False, timeout_ms=2000)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def three() -> Iterator[Cluster]:
    with Cluster(3) as cluster:
        yield cluster


def test_a_client_writes_and_reads_in_one_node() -> None:
    with Cluster() as cluster:
        cluster.create_topic("words", partitions=1)
        send(cluster, "words", b"one", b"two")
        assert read(cluster, "words", 2) == [b"one", b"two"]
        assert cluster.topics() == ["words"]


def test_an_async_client_in_an_async_block() -> None:
    async def story() -> list[bytes]:
        async with Cluster(in_memory=True) as cluster:
            async with AIOKafkaProducer(bootstrap_servers=cluster.bootstrap_servers) as producer:
                await producer.send_and_wait("made-on-demand", b"one")
            consumer = AIOKafkaConsumer(
                "made-on-demand", bootstrap_servers=cluster.bootstrap_servers, auto_offset_reset="earliest"
            )
            async with consumer:
                return [(await asyncio.wait_for(consumer.getone(), 20)).value]

    assert asyncio.run(story()) == [b"one"]


def test_ready_in_under_a_second_for_one_node_and_three_for_three() -> None:
    for nodes, limit in ((1, 1.0), (3, 3.0)):
        fastest = limit
        for _ in range(3):
            began = time.monotonic()
            with Cluster(nodes):
                fastest = min(fastest, time.monotonic() - began)
        assert fastest < limit, f"{nodes} nodes"


@pytest.mark.parametrize("nodes", [1, 3])
def test_nothing_is_left(nodes: int, caplog: pytest.LogCaptureFixture) -> None:
    with Cluster():
        pass  # what is loaded only once
    threads, files = set(threading.enumerate()), open_files()
    with caplog.at_level(logging.ERROR), Cluster(nodes) as cluster:
        cluster.create_topic("words", partitions=3)
        directories = [Path(node.directory) for node in cluster.nodes]
        ports = [node.port for node in cluster.nodes]
        send(cluster, "words", b"one")
    assert set(threading.enumerate()) <= threads
    assert open_files() <= files
    assert not any(directory.parent.exists() for directory in directories)
    assert not caplog.records
    for port in ports:
        with socket.socket() as again:
            again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            again.bind(("127.0.0.1", port))


def test_a_stopped_node_is_refused_and_comes_back_with_its_data() -> None:
    with Cluster() as cluster:
        cluster.create_topic("words")
        send(cluster, "words", b"one")
        node = cluster.node(1)
        node.stop()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((node.host, node.port), timeout=5)
        assert not node.running
        node.start()
        cluster.wait_until_ready()
        assert read(cluster, "words", 1) == [b"one"]


@pytest.mark.parametrize("how", ["stop", "kill", "wipe"])
def test_a_broker_is_lost_and_returns(three: Cluster, how: str) -> None:
    three.create_topic("words", partitions=1, replication_factor=3)
    send(three, "words", b"one")
    lost = three.leader("words")
    assert lost is not None
    getattr(lost, how)()
    three.wait_until_ready()
    assert three.leader("words") not in (None, lost)
    send(three, "words", b"two")
    lost.start()
    three.wait_until_ready()
    assert set(three.partition("words").in_sync) == {1, 2, 3}
    three.move_leader("words", to=lost.id)
    assert read(three, "words", 2) == [b"one", b"two"]


def test_a_killed_node_keeps_what_it_had_acknowledged() -> None:
    with Cluster() as cluster:
        cluster.create_topic("words")
        send(cluster, "words", *(b"%d" % number for number in range(100)))
        cluster.node(1).kill()
        cluster.node(1).start()
        assert read(cluster, "words", 100) == [b"%d" % number for number in range(100)]


def test_a_paused_node_accepts_connections_and_does_not_answer(three: Cluster) -> None:
    three.create_topic("words", partitions=1, replication_factor=3)
    hung = three.leader("words")
    assert hung is not None
    hung.pause()
    with socket.create_connection((hung.host, hung.port), timeout=5) as client:
        client.sendall(b"\0\0\0\x0a\0\x12\0\0\0\0\0\1\xff\xff")
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(1)
        hung.resume()
        client.settimeout(10)
        assert client.recv(4)
    three.wait_until_ready()


def test_others_lead_what_a_paused_node_led(three: Cluster) -> None:
    three.create_topic("words", partitions=1, replication_factor=3)
    hung = three.leader("words")
    assert hung is not None
    hung.pause()
    three.wait_until_ready()
    assert three.leader("words") not in (None, hung)
    three.heal()
    assert set(three.partition("words").in_sync) == {1, 2, 3}


def test_leaders_move_where_they_are_told_to(three: Cluster) -> None:
    three.create_topic("words", partitions=1, replication_factor=2)
    before = three.partition("words")
    moved = three.move_leader("words")
    assert moved.id in set(before.replicas) - {before.leader}
    (outside,) = {1, 2, 3} - set(before.replicas)
    assert three.move_leader("words", to=outside) is three.node(outside)
    assert three.leader("words") is three.node(outside)
    send(three, "words", b"one")
    assert read(three, "words", 1) == [b"one"]


def test_settings_by_keyword_and_by_name() -> None:
    with Cluster(settings={"num.partitions": 4}, auto_create_topics_enable=False) as cluster:
        cluster.create_topic("words")
        assert cluster.partition("words", 3).leader == 1
        with pytest.raises(ValueError, match="no partition 4"):
            cluster.partition("words", 4)
        with pytest.raises(RefusedError, match="TOPIC_ALREADY_EXISTS"):
            cluster.create_topic("words")
        cluster.delete_topic("words")


def test_settings_that_cannot_be_are_named() -> None:
    with pytest.raises(ConfigError, match=r"num\.partitions"), Cluster(num_partitions=0):
        pass
    with pytest.warns(UserWarning, match="did you mean num.partitions"), Cluster(num_partition=2):
        pass


def test_a_directory_that_is_given_stays(tmp_path: Path) -> None:
    with Cluster(directory=tmp_path):
        pass
    assert (tmp_path / "node-1" / "node.sqlite").exists()


def test_a_node_that_cannot_start_says_why() -> None:
    with Cluster() as cluster:
        node = cluster.node(1)
        node.stop()
        (Path(node.directory) / "cluster.secret").write_text("short")
        with pytest.raises(NodeFailedError, match="cluster secret"):
            node.start()
        assert not node.running


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Cluster(0)
    with Cluster() as cluster:
        with pytest.raises(ValueError, match="no node 2"):
            cluster.node(2)
        with pytest.raises(ClusterError, match="started already"):
            cluster.start()
