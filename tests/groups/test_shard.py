"""One partition's groups and offsets, as records and back."""

from __future__ import annotations

from sprawl.groups.exchange import GroupLimits, Instant, JoinRequest, StoredGroup, Strategy, Ticket
from sprawl.groups.offsets import CommittedOffset
from sprawl.groups.records import GroupRecord, OffsetRecord, encode
from sprawl.groups.shard import SNAPSHOT_CHUNK_BYTES, Shard

NOW = Instant(0.0, 1_000)
EMPTY = StoredGroup("consumer", 3, None, None, 500, ())


def shard_of(*records: OffsetRecord | GroupRecord) -> Shard:
    shard = Shard(GroupLimits(initial_rebalance_delay_ms=0))
    for record in records:
        assert shard.replay(*encode(record))
    shard.loaded(NOW)
    return shard


def offset(group_id: str, partition: int, value: int | None) -> OffsetRecord:
    return OffsetRecord(group_id, "t", partition, None if value is None else CommittedOffset(value, -1, "", 100))


def test_the_last_record_of_each_key_counts() -> None:
    shard = shard_of(
        GroupRecord("g", EMPTY), offset("g", 0, 1), offset("g", 0, 2), offset("g", 1, 5), offset("g", 1, None),
        GroupRecord("gone", EMPTY), GroupRecord("gone", None), offset("simple", 0, 7),
    )  # fmt: skip
    assert set(shard.groups) == {"g", "simple"}
    assert shard.groups["g"].generation == 3
    assert [(where.partition, committed.offset) for where, committed in shard.offsets("g")] == [(0, 2)]


def test_a_snapshot_is_the_same_shard_again() -> None:
    records = [GroupRecord("g", EMPTY), *(offset("g", number, number) for number in range(50)), offset("s", 0, 7)]
    shard = shard_of(*records)
    again = Shard(GroupLimits())
    for chunk in shard.snapshot():
        for key, value in chunk:
            again.replay(key, value)
    again.loaded(NOW)
    assert list(again.offsets("g")) == list(shard.offsets("g"))
    assert again.groups["g"].stored == EMPTY
    assert set(again.groups) == {"g", "s"}


def test_a_large_snapshot_comes_in_chunks() -> None:
    shard = shard_of(*(offset("g", number, number) for number in range(12_000)))
    chunks = list(shard.snapshot())
    assert len(chunks) > 1
    sizes = [sum(len(key) + len(value or b"") for key, value in chunk) for chunk in chunks]
    assert max(sizes) < SNAPSHOT_CHUNK_BYTES + 1_000


def test_what_is_deleted_in_the_middle_of_a_snapshot_does_not_come_back() -> None:
    shard = shard_of(*(offset("g", number, number) for number in range(12_000)))
    chunks = shard.snapshot()
    first = next(chunks)
    for number in range(12_000):
        shard.apply(offset("g", number, None), NOW)
    assert len(first) < 12_000
    assert list(chunks) == []


def test_a_deleted_group_that_has_members_again_is_not_in_a_snapshot() -> None:
    """Its record is deleted; it will be written again with its next generation."""
    shard = shard_of(GroupRecord("g", EMPTY))
    request = JoinRequest(
        "", None, "c", "/h", 10_000, 10_000, "consumer", (Strategy("range", b""),), "c-1", must_return_with_id=False
    )
    shard.groups["g"].join(Ticket(1), request, NOW)
    assert shard.deleted("g", NOW) is None
    assert "g" in shard.groups
    assert list(shard.snapshot()) == []


def test_an_empty_group_expires_only_with_its_last_offset_and_without_pending_members() -> None:
    shard = shard_of(GroupRecord("g", EMPTY), offset("g", 0, 1), GroupRecord("bare", EMPTY), GroupRecord("busy", EMPTY))
    request = JoinRequest("", None, "c", "/h", 10_000, 10_000, "consumer", (Strategy("range", b""),), "c-1")
    shard.groups["busy"].join(Ticket(1), request, NOW)
    assert dict(shard.expiry(NOW, retention_ms=10_000)) == {"bare": [GroupRecord("bare", None)]}
    late = Instant(0.0, 500 + 10_000)
    assert set(dict(shard.expiry(late, retention_ms=10_000))) == {"g", "bare"}
