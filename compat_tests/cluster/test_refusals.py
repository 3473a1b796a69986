"""Nodes that must not join a cluster, or not go on: of another cluster, with another secret, with an id that is taken,
with metadata that they cannot read.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from compat_tests.cluster.conftest import StartCluster
from compat_tests.cluster.journeys import create_topic
from compat_tests.cluster.nodes import Cluster, Node, sprawl
from compat_tests.waiting import until
from sprawl_protocol.records import crc32c, headers, records_of


def said_by(node: Node, words: str) -> None:
    until(f"{words!r} in the log of node {node.number}", lambda: words in node.said(), 60)


def discard(cluster: Cluster, node: Node) -> None:
    node.kill()
    node.wipe()
    cluster.nodes.remove(node)
    node.release()


def test_a_node_with_another_secret_is_refused_and_both_sides_say_why(cluster: Cluster, tmp_path: Path) -> None:
    node = cluster.new_node(9)
    try:
        other = tmp_path / "other.secret"
        sprawl("format", "-d", tmp_path / "elsewhere", "--node-id", 1)
        other.write_bytes((tmp_path / "elsewhere" / "cluster.secret").read_bytes())
        other.chmod(0o600)
        node.format(cluster.cluster_id, other)
        node.start(wait=False)
        said_by(node, "secret")
        until("a word of it", lambda: any("secret" in each.said() for each in cluster.nodes if each is not node), 60)
        assert not node.ready()
    finally:
        discard(cluster, node)


def test_a_node_of_another_cluster_is_refused_and_both_sides_say_why(cluster: Cluster) -> None:
    node = cluster.new_node(9)
    try:
        node.format("AAAAAAAAAAAAAAAAAAAAAA", cluster.secret)
        node.start(wait=False)
        said_by(node, "AAAAAAAAAAAAAAAAAAAAAA")
        until(
            "a word of it",
            lambda: any("AAAAAAAAAAAAAAAAAAAAAA" in each.said() for each in cluster.nodes if each is not node),
            60,
        )
        assert not node.ready()
    finally:
        discard(cluster, node)


def test_a_second_node_with_the_same_id_refuses_to_start(cluster: Cluster) -> None:
    node = cluster.new_node(2)
    try:
        node.format(cluster.cluster_id, cluster.secret)
        node.start(wait=False)
        assert node.ended() not in (None, 0), "it goes on"
        assert "2" in node.said()
        assert all(each.ready() for each in cluster.nodes if each is not node)
    finally:
        discard(cluster, node)


def test_a_node_that_cannot_read_a_metadata_record_stops(
    start_cluster: StartCluster, new_name: Callable[[], str]
) -> None:
    """The record is there and whole, and of a version that this software does not know: as after a downgrade."""
    cluster = start_cluster()
    create_topic(cluster.bootstrap, new_name(), 1)
    node = cluster.node(3)
    node.kill()
    make_newer(node)
    node.start(wait=False)
    assert node.ended() not in (None, 0), "it skipped the record"
    assert "newer version" in node.said()
    create_topic(cluster.bootstrap, new_name(), 1, {"min.insync.replicas": "1"})


def make_newer(node: Node) -> None:
    """Give the last record of the node's metadata log a version of the future, and its batch the checksum that fits."""
    path = max((node.data_directory / "__cluster_metadata-0").glob("*.log"))
    log = bytearray(path.read_bytes())
    start, header = [(place, each) for place, each in headers(bytes(log)) if not each.is_control][-1]
    (*_, record) = records_of(bytes(log), start)
    assert record.value is not None
    end = start + header.size
    log[log.rindex(bytes(record.value), start, end)] = 99
    log[start + 17 : start + 21] = crc32c(bytes(log[start + 21 : end])).to_bytes(4, "big")
    path.write_bytes(log)
