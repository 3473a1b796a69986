"""Sections of a backup: what was put is what is read, or it is refused and named."""

from __future__ import annotations

import json
from uuid import UUID

import pytest

from sprawl.tiers.backup import (
    BackedPartition,
    BackedSegment,
    BackedTopic,
    BadBackup,
    ClusterBody,
    Extent,
    FutureBackup,
    GroupsBody,
    NodeBody,
    Section,
    TierBody,
)
from tests.tiers.test_catalog import segment

TOPIC = BackedTopic("orders", UUID(int=7), (3, 0), 3, {"retention.ms": "5"})
CLUSTER = ClusterBody((TOPIC,), {4: {"": {"log.retention.ms": "7"}, "1": {}}}, 4000)
TIER = TierBody((BackedPartition((UUID(int=7), 1), 4, (BackedSegment(segment(0, 10, epochs=((1, 0), (2, 5))), 8),)),))
NODE = NodeBody((Extent((UUID(int=7), 0), 3, 5, 99),))
GROUPS = GroupsBody(((b"\x00key", b"\xffvalue"), (b"a", b"")))


def packed() -> bytes:
    return Section("tier-3", "c" * 22, 5, 1000, TIER.told()).pack()


def test_every_body_is_read_as_it_was_put() -> None:
    for body in (CLUSTER, TIER, NODE, GROUPS):
        section = Section("some", "c" * 22, 5, 1000, body.told())
        found = Section.parse(section.pack(), "there")
        assert (found.name, found.cluster_id, found.epoch, found.time_ms) == ("some", "c" * 22, 5, 1000)
        assert type(body).from_told(found.body) == body


def test_a_byte_that_changed_anywhere_is_found() -> None:
    raw = packed()
    for at in range(len(raw)):
        changed = bytearray(raw)
        changed[at] ^= 0x01
        try:
            found = Section.parse(bytes(changed), "backup/c/tier-3.json")
        except BadBackup as problem:
            assert "backup/c/tier-3.json" in str(problem)
        else:
            assert found == Section.parse(raw, ""), f"byte {at} changes what is read"


@pytest.mark.parametrize("kept", [0, 1, 50, 200, -2])
def test_one_that_is_cut_short_is_damaged_and_told_with_what_to_do(kept: int) -> None:
    with pytest.raises(BadBackup, match="is damaged .* put back an older version"):
        Section.parse(packed()[:kept], "there")


def test_a_future_format_is_told_apart_from_damage() -> None:
    first, rest = packed().split(b"\n", 1)
    heading = {**json.loads(first), "format": 2}
    with pytest.raises(FutureBackup, match="of format 2.*a newer one wrote it"):
        Section.parse(json.dumps(heading).encode() + b"\n" + rest, "there")
