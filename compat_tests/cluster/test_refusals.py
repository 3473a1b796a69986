"""Nodes that must not join a cluster: of another cluster, with another secret, with an id that is taken."""

from __future__ import annotations

from pathlib import Path

from compat_tests.cluster.nodes import Cluster, Node, sprawl
from compat_tests.waiting import until


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
