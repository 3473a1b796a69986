"""What compaction leaves of a log: of each key the newest record (`cleanup.policy=compact`).

In: first all batches that are new since the last time, from which a `KeyMap` learns where each key was written last;
then all batches of the log, in order. Out: the bytes that take their place. Pure.

- A record goes if a newer one has its key, or if it has none. A record that the map knows nothing newer of stays.
- A tombstone (no value) stays until its batch's delete horizon, `delete.retention.ms` after it was first compacted, so
  that whoever reads along learns of it; the horizon is noted in the batch (attribute bit 6, in place of the base
  timestamp: KIP-534). Where older records of its key may be elsewhere, in the cloud tier, it stays for good.
- Offsets stay. A batch of which something is left keeps the range of offsets that it had; whole batches that go leave
  an empty batch over all of their offsets. So a compacted log has no gaps, a missing batch is still known from a
  compacted one, and nothing else in storage need know of compaction. (Kafka leaves gaps. Its clients know empty
  batches, since Kafka keeps one for the newest sequence number of a producer.)
- The batch with a producer's newest sequence number leaves an empty batch with that number (KIP-98), so that the
  producers' states can be derived from the files again.
- Transactions are left alone, as are control records: what was aborted must not shadow what was not.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from sprawl_protocol.batches import CODEC_MASK, DELETE_HORIZON, NO_TIMESTAMP, pack_batch
from sprawl_protocol.compression import MAX_DECOMPRESSED, Codec
from sprawl_protocol.primitives import Buffer
from sprawl_protocol.records import NO_PRODUCER_ID, NO_SEQUENCE, BatchHeader, Record, pack_records, records_of

_LONGEST_KEPT: Final = 16
_DIGEST: Final = 17
"""Longer than any key that is kept as it is: no digest can be taken for a key."""
BYTES_PER_KEY: Final = 200
"""Of memory, about: the key or its digest, the offset, and their place in a dict."""


class KeyMap:
    """Where each key was written last. Keys longer than 16 bytes count by a digest of 17 bytes (BLAKE2b)."""

    def __init__(self) -> None:
        self._last: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._last)

    def note(self, data: memoryview, pos: int, header: BatchHeader) -> None:
        """The records of a batch, of offsets behind all that were noted. Raises `ProtocolError`."""
        if left_alone(header) or not header.record_count:
            return
        for record in records_of(data, pos, MAX_DECOMPRESSED):
            if record.key is not None:
                self._last[_identity(record.key)] = record.offset

    def has_newer(self, key: Buffer, offset: int) -> bool:
        return self._last.get(_identity(key), -1) > offset


def left_alone(header: BatchHeader) -> bool:
    return header.is_control or header.is_transactional


def _identity(key: Buffer) -> bytes:
    return bytes(key) if len(key) <= _LONGEST_KEPT else blake2b(key, digest_size=_DIGEST).digest()


@dataclass(frozen=True, slots=True)
class Rules:
    """For one run over one log."""

    newest: KeyMap
    until: int
    """Exclusive: what lies behind is not compacted."""
    now_ms: int
    delete_retention_ms: int
    tombstones_go: bool
    last_of_producers: Container[int]
    """Last offsets of the batches with producers' newest sequence numbers."""


EpochsWithin = Callable[[int, int], Iterable[tuple[int, int]]]
"""(leader epoch, first offset) of those that wrote the offsets from one up to another: `LeaderEpochs.within`."""


class Compactor:
    """For a run of segments that follow each other. Every batch goes through `take`; `finish` has the rest."""

    def __init__(self, rules: Rules, start: int, epochs: EpochsWithin) -> None:
        self._rules = rules
        self._epochs = epochs
        self._due = self._end = start
        """What lies between, if anything, is to be left empty; of leader epoch `_epoch`."""
        self._epoch = -1
        self.changed = False

    def take(self, data: memoryview, pos: int, header: BatchHeader) -> Iterator[Buffer]:
        """What is to be written now. Raises `ProtocolError`."""
        yield from self._leave_gap(header)
        if header.last_offset >= self._rules.until or left_alone(header):
            kept: Buffer | None = data[pos : pos + header.size]
        else:
            kept = self._compacted(data, pos, header)
        if kept is None:
            yield from self._leave_empty(header.base_offset, header.next_offset, header.partition_leader_epoch)
            return
        yield from self.finish()
        self._due = self._end = header.next_offset
        yield kept

    def finish(self) -> Iterator[Buffer]:
        if self._due < self._end:
            yield _empty(self._due, self._end, self._epoch)
            self._due = self._end

    def _leave_gap(self, header: BatchHeader) -> Iterator[Buffer]:
        """Offsets without a batch, as another broker's compaction leaves them, count as batches that went."""
        end = header.base_offset
        if self._end < end:
            found = list(self._epochs(self._end, end)) or [(header.partition_leader_epoch, self._end)]
            for (epoch, _), upto in zip(found, [*(first for _, first in found[1:]), end], strict=True):
                yield from self._leave_empty(self._end, upto, epoch)

    def _leave_empty(self, start: int, end: int, epoch: int) -> Iterator[Buffer]:
        """A batch has one leader epoch."""
        if epoch != self._epoch:
            yield from self.finish()
        assert start == self._end, "batches follow each other"
        self._end, self._epoch = end, epoch

    def _compacted(self, data: memoryview, pos: int, header: BatchHeader) -> Buffer | None:
        """None: nothing is left."""
        keeps_sequence = header.producer_id >= 0 and header.last_offset in self._rules.last_of_producers
        if not header.record_count:
            return data[pos : pos + header.size] if keeps_sequence else None
        horizon = header.base_timestamp if header.has_delete_horizon else None
        past = self._rules.tombstones_go and horizon is not None and horizon < self._rules.now_ms
        kept, total, tombstones = [], 0, False
        for record in records_of(data, pos, MAX_DECOMPRESSED):
            total += 1
            if record.key is None or self._rules.newest.has_newer(record.key, record.offset):
                continue
            if record.value is None:
                if past:
                    continue
                tombstones = True
            kept.append(record)
        if horizon is None and tombstones and self._rules.tombstones_go:
            horizon = self._rules.now_ms + self._rules.delete_retention_ms
        elif len(kept) == total:
            return data[pos : pos + header.size]
        self.changed = True
        if not kept:
            return _without_records(header) if keeps_sequence else None
        return _rebuilt(header, kept, horizon)


def _rebuilt(header: BatchHeader, kept: list[Record], horizon: int | None) -> bytearray:
    codec = Codec(header.attributes & CODEC_MASK)
    base_timestamp = header.base_timestamp if horizon is None else horizon
    newest = header.max_timestamp if header.log_append_time else max(record.timestamp for record in kept)
    return pack_batch(
        pack_records(kept, header.base_offset, base_timestamp, codec),
        base_offset=header.base_offset,
        leader_epoch=header.partition_leader_epoch,
        attributes=header.attributes | (0 if horizon is None else DELETE_HORIZON),
        last_offset_delta=header.last_offset_delta,
        base_timestamp=base_timestamp,
        max_timestamp=newest,
        producer_id=header.producer_id,
        producer_epoch=header.producer_epoch,
        base_sequence=header.base_sequence,
        record_count=len(kept),
    )


def _without_records(header: BatchHeader) -> bytearray:
    return pack_batch(
        b"",
        base_offset=header.base_offset,
        leader_epoch=header.partition_leader_epoch,
        attributes=0,
        last_offset_delta=header.last_offset_delta,
        base_timestamp=NO_TIMESTAMP,
        max_timestamp=header.max_timestamp,
        producer_id=header.producer_id,
        producer_epoch=header.producer_epoch,
        base_sequence=header.base_sequence,
        record_count=0,
    )


def _empty(start: int, end: int, epoch: int) -> bytearray:
    """Over the offsets from `start` to `end`, exclusive."""
    return pack_batch(
        b"",
        base_offset=start,
        leader_epoch=epoch,
        attributes=0,
        last_offset_delta=end - start - 1,
        base_timestamp=NO_TIMESTAMP,
        max_timestamp=NO_TIMESTAMP,
        producer_id=NO_PRODUCER_ID,
        producer_epoch=-1,
        base_sequence=NO_SEQUENCE,
        record_count=0,
    )
