"""Comparing the replicas of a partition on disk, and flipping a bit of one."""

from __future__ import annotations

import random
from pathlib import Path
from struct import pack

from tools.chaos.network import Loopback
from tools.chaos.nodes import Node
from tools.chaos.replicas import Flip, compare


def batch(offset: int, content: bytes) -> bytes:
    return pack(">qi", offset, len(content)) + content


def replica(data: Path, *segments: list[bytes]) -> Path:
    partition = data / "topics" / "orders-0"
    partition.mkdir(parents=True)
    for number, content in enumerate(segments):
        (partition / f"{number:020}.log").write_bytes(b"".join(content))
    return partition


A, B, C = batch(0, b"aaaa"), batch(3, b"bb"), batch(4, b"cccccc")


def test_equal_replicas_in_other_segments_are_equal(tmp_path: Path) -> None:
    replica(tmp_path / "1", [A, B], [C])
    replica(tmp_path / "2", [A], [B, C])
    assert compare([tmp_path / "1", tmp_path / "2"], "orders").problems == []


def test_one_may_be_longer(tmp_path: Path) -> None:
    replica(tmp_path / "1", [A, B, C])
    replica(tmp_path / "2", [A, B, C[:-1]])
    assert compare([tmp_path / "1", tmp_path / "2"], "orders").problems == []


def test_another_content_is_told(tmp_path: Path) -> None:
    replica(tmp_path / "1", [A, B])
    replica(tmp_path / "2", [A, batch(3, b"bx")])
    (wrong,) = compare([tmp_path / "1", tmp_path / "2"], "orders").problems
    assert "orders-0: batch 3 of" in wrong
    assert "is not the same in" in wrong


def test_another_offset_is_told(tmp_path: Path) -> None:
    replica(tmp_path / "1", [A, B])
    replica(tmp_path / "2", [A, batch(4, b"bb")])
    (wrong,) = compare([tmp_path / "1", tmp_path / "2"], "orders").problems
    assert "has batch 3 where" in wrong
    assert "has batch 4" in wrong


def test_a_flip_changes_one_bit_of_a_closed_segment(tmp_path: Path) -> None:
    network = Loopback([1], 1)
    try:
        node = Node(tmp_path, 1, network, disk_mb=0)
        partition = replica(node.data, [batch(0, bytes(2000))], [A])
        flip = node.flip(random.Random(1), "orders")
    finally:
        network.close()
    assert flip is not None
    assert flip.segment == partition / f"{0:020}.log"
    flipped = (partition / f"{0:020}.log").read_bytes()
    changed = sum((one ^ two).bit_count() for one, two in zip(batch(0, bytes(2000)), flipped, strict=True))
    assert changed == 1
    assert (partition / f"{1:020}.log").read_bytes() == A


def test_a_flip_that_nobody_has_read_is_counted(tmp_path: Path) -> None:
    replica(tmp_path / "1", [A, B, C])
    damaged = replica(tmp_path / "2", [A, batch(3, b"bc"), C])
    flip = Flip(damaged / f"{0:020}.log", len(A) + 13, 0, 1)
    compared = compare([tmp_path / "1", tmp_path / "2"], "orders", [flip])
    assert (compared.problems, compared.unread) == ([], 1)


def test_beside_a_flip_other_differences_are_told(tmp_path: Path) -> None:
    replica(tmp_path / "1", [A, B, C])
    damaged = replica(tmp_path / "2", [A, batch(3, b"bc"), batch(4, b"cccccd")])
    flip = Flip(damaged / f"{0:020}.log", len(A) + 13, 0, 1)
    compared = compare([tmp_path / "1", tmp_path / "2"], "orders", [flip])
    assert len(compared.problems) == 1
    assert compared.unread == 1


def test_without_a_closed_segment_nothing_is_flipped(tmp_path: Path) -> None:
    network = Loopback([1], 1)
    try:
        node = Node(tmp_path, 1, network, disk_mb=0)
        replica(node.data, [batch(0, bytes(2000))])
        assert node.flip(random.Random(1), "orders") is None
    finally:
        network.close()
