"""A partition's log as Apache Kafka left it on the disk, read batch by batch, and made fit for another cluster.

In: segment files. Out: batches that follow on each other without a gap, from where the log begins to where it ends:
records with their offsets, keys, values, headers, times and compression as they were. Three things are different, all
in the batches' headers, outside of the records:

- Producer ids, epochs, sequences and the mark of a transaction are gone: a producer of the new cluster may be given the
  same id. Records of transactions that were aborted, or that were still open, are left out, and so are the markers.
- Where offsets are missing (compaction, markers, what was left out), the batch before covers them with its last
  offset. Where there is none before, a batch without records does, as Kafka's own cleaner leaves them.
- The checksum is that of the new header. The old one was compared before.

Two passes: `examine` reads everything, compares checksums and learns how each transaction ended; only then does
`batches` give anything out. Damage is told by file and position.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sprawl.admin.kafka_directories import KafkaPartition
from sprawl_protocol.batches import (
    CONTROL,
    HEADER_SIZE,
    MAGIC,
    NO_PRODUCER_ID,
    NO_SEQUENCE,
    NO_TIMESTAMP,
    TRANSACTIONAL,
    BatchHeader,
    check_crc,
    pack_batch,
    read_header,
)
from sprawl_protocol.errors import ProtocolError
from sprawl_protocol.records import records_of

_MAX_DELTA: Final = 2**31 - 1
_ABORT: Final = b"\x00\x00"
_COMMIT: Final = b"\x00\x01"
_MAGIC_AT: Final = 16


class KafkaLogError(Exception):
    """What is in a file is no log, or is damaged. Says which file, and where in it."""


@dataclass(slots=True)
class Examined:
    """What a log holds, as far as it is whole."""

    start: int
    end: int
    records: int = 0
    bytes: int = 0
    newest_ms: int = -1
    aborted: int = 0
    """Records of aborted transactions."""
    undecided: int = 0
    """Records of transactions that were still open."""
    markers: int = 0
    damage: str | None = None
    """The first that was found. What lies behind it does not count."""
    left_out: set[int] = field(default_factory=set)
    """Base offsets of batches that have no place in the new log."""
    stop: tuple[Path, int] | None = None
    """Where the damage begins."""


def examine(partition: KafkaPartition, read: Callable[[int], None] = lambda _: None) -> Examined:
    """Reads every byte, and tells `read` how many. Raises `OSError`, `KafkaLogError` for what nobody could import."""
    found = Examined(partition.log_start, partition.log_start)
    open_: dict[int, list[tuple[int, int]]] = {}
    try:
        for data, at, header in _walk(partition.segments, None):
            found.end = max(found.end, header.next_offset)
            read(header.size)
            if header.last_offset < partition.log_start:
                continue
            found.bytes += header.size
            if header.is_control:
                _end_of(data, at, header, open_, found)
                continue
            if header.is_transactional:
                open_.setdefault(header.producer_id, []).append((header.base_offset, header.record_count))
            found.records += header.record_count
            found.newest_ms = max(found.newest_ms, header.max_timestamp)
        found.end = max(found.end, int(partition.segments[-1].stem))
    except _Damage as damage:
        found.damage, found.stop = str(damage), (damage.path, damage.position)
    for batches in open_.values():
        for base, count in batches:
            found.left_out.add(base)
            found.undecided += count
    found.records -= found.aborted + found.undecided
    return found


def batches(partition: KafkaPartition, examined: Examined) -> Iterator[bytearray]:
    """From offset 0 to the log's end: what lies before its start is empty. Raises `OSError`."""
    due = 0
    held: bytearray | None = None
    for data, at, header in _walk(partition.segments, examined.stop):
        if header.last_offset < examined.start or header.is_control or header.base_offset in examined.left_out:
            continue
        if held is None:
            yield from _empty(due, header.base_offset)
        else:
            yield from _widened(held, header.base_offset)
        held = _plain(data, at, header)
        due = header.next_offset
    if held is None:
        yield from _empty(due, examined.end)
    else:
        yield from _widened(held, examined.end)


class _Damage(Exception):
    def __init__(self, path: Path, position: int, reason: str) -> None:
        super().__init__(f"{path} at position {position}: {reason}")
        self.path = path
        self.position = position


def _walk(segments: tuple[Path, ...], stop: tuple[Path, int] | None) -> Iterator[tuple[memoryview, int, BatchHeader]]:
    """Every batch, checked, up to `stop`. Raises `_Damage`, `KafkaLogError`, `OSError`."""
    due = 0
    for path in segments:
        base = int(path.stem)
        if base < due:
            raise _Damage(path, 0, f"begins at offset {base}, and the segment before ends at {due}")
        due = max(due, base)
        size = path.stat().st_size
        if size == 0:
            if stop is not None and stop[0] == path:
                return
            continue
        with path.open("rb") as file, closing(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)) as mapped:
            view = memoryview(mapped)
            try:
                position = 0
                while position < size:
                    if stop == (path, position):
                        return
                    header = _next(path, view, position, due)
                    if header is None:
                        break
                    yield view, position, header
                    due = header.next_offset
                    position += header.size
            finally:
                view.release()


def _next(path: Path, view: memoryview, position: int, due: int) -> BatchHeader | None:
    """None: there is nothing but zeros, of a file made at its full size. Raises `_Damage`, `KafkaLogError`."""
    left = len(view) - position
    if left >= HEADER_SIZE and view[position + _MAGIC_AT] in (0, 1) and any(view[position : position + HEADER_SIZE]):
        raise KafkaLogError(
            f"{path} at position {position}: message format v{view[position + _MAGIC_AT]}, of before Kafka 0.11. "
            "Have a Kafka of version 0.11 to 3.x with log.message.format.version=0.11 or newer copy the topic into a "
            "new one, and import that"
        )
    try:
        header = read_header(view, position)
    except ProtocolError as problem:
        if not any(view[position:]):
            return None
        raise _Damage(path, position, str(problem)) from None
    if not check_crc(view, position, header):
        raise _Damage(path, position, "a batch with a wrong checksum")
    if header.base_offset < due or header.producer_id < -1 or header.magic != MAGIC:
        raise _Damage(path, position, f"a batch at offset {header.base_offset} where {due} is due")
    return header


def _end_of(
    data: memoryview, at: int, header: BatchHeader, open_: dict[int, list[tuple[int, int]]], found: Examined
) -> None:
    """A transaction's end: what came of the records that its producer has open."""
    try:
        keys = [bytes(record.key or b"") for record in records_of(data, at)]
    except ProtocolError:
        keys = []
    found.markers += 1
    for key in keys:
        if key[2:4] == _ABORT:
            for base, count in open_.pop(header.producer_id, []):
                found.left_out.add(base)
                found.aborted += count
        elif key[2:4] == _COMMIT:
            open_.pop(header.producer_id, None)


def _plain(data: memoryview, at: int, header: BatchHeader) -> bytearray:
    return _packed(header, header.last_offset_delta, data[at + HEADER_SIZE : at + header.size])


def _packed(header: BatchHeader, last_offset_delta: int, content: memoryview) -> bytearray:
    return pack_batch(
        content,
        base_offset=header.base_offset,
        leader_epoch=-1,
        attributes=header.attributes & ~(TRANSACTIONAL | CONTROL),
        last_offset_delta=last_offset_delta,
        base_timestamp=header.base_timestamp,
        max_timestamp=header.max_timestamp,
        producer_id=NO_PRODUCER_ID,
        producer_epoch=-1,
        base_sequence=NO_SEQUENCE,
        record_count=header.record_count,
    )


def _widened(batch: bytearray, until: int) -> Iterator[bytearray]:
    """The batch, whose offsets go on up to where the next one begins."""
    header = read_header(batch)
    if until > header.next_offset:
        delta = min(until - 1 - header.base_offset, _MAX_DELTA - 1)
        batch = _packed(header, delta, memoryview(batch)[HEADER_SIZE:])
    yield batch
    yield from _empty(read_header(batch).next_offset, until)


def _empty(due: int, until: int) -> Iterator[bytearray]:
    """Batches without records over offsets that nothing is at."""
    while due < until:
        upto = min(until, due + _MAX_DELTA)
        yield pack_batch(
            b"",
            base_offset=due,
            leader_epoch=-1,
            attributes=0,
            last_offset_delta=upto - due - 1,
            base_timestamp=NO_TIMESTAMP,
            max_timestamp=NO_TIMESTAMP,
            producer_id=NO_PRODUCER_ID,
            producer_epoch=-1,
            base_sequence=NO_SEQUENCE,
            record_count=0,
        )
        due = upto
