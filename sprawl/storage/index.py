"""The index beside the logs: what is looked up by key, in one RocksDB store for all logs of a data directory.

In and out: positions by offset and by time, facts about closed segments, checkpoints. All of it can be derived from the
segment files, and after a crash its newest part may be missing; `recovery.py` reads the files from the last checkpoint
on. Keys are the log's id (topic id and partition, 20 bytes), a letter for the kind, and big-endian numbers:

    o segment, offset      -> position, largest timestamp before it     sparse, about one each index.interval.bytes
    t segment, timestamp, offset -> position                            the same places, by time
    q segment              -> producer states where it begins
    s segment              -> size, next offset, largest timestamp and the base offset of the batch that has it
    n segment              -> the same of the file that takes the segment's place: a swap is under way (`swapping.py`)
    d                      -> up to where the log is compacted
    v                      -> when all closed segments were last found sound, in milliseconds
    c                      -> JSON: checkpoint (see `Checkpoint`)
    p                      -> producer states as of the checkpoint
"""

from __future__ import annotations

import asyncio
import json
import logging
import struct
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final
from uuid import UUID

from sprawl.runtime import KeyValueStore

log_ = logging.getLogger(__name__)

_LONG: Final = struct.Struct(">Q")
_TWO: Final = struct.Struct(">QQ")
_THREE: Final = struct.Struct(">QQQ")
_ENTRY: Final = struct.Struct(">Qq")
_SEGMENT: Final = struct.Struct(">QQqq")
_LIMIT: Final = 1 << 63

Change = tuple[bytes, bytes | None]


def log_id(topic_id: UUID, partition: int) -> bytes:
    return topic_id.bytes + partition.to_bytes(4, "big")


@dataclass(frozen=True, slots=True)
class SegmentFacts:
    """What a closed segment holds."""

    size: int
    next_offset: int
    max_timestamp: int
    max_timestamp_base: int
    """Base offset of the batch with the largest timestamp."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Up to where a log was known to be on stable storage and the index to be complete."""

    offset: int
    segment: int
    """Base offset of the segment that `offset` lies in."""
    position: int
    max_timestamp: int
    max_timestamp_base: int
    """Of that segment, up to `position`."""
    epochs: tuple[tuple[int, int], ...]


class IndexStore:
    """The store of all logs. It may fail, for want of room above all, and the logs go on without what it then lacks:
    look-ups become longer walks through the files. `reopen` mends it."""

    def __init__(
        self,
        open_store: Callable[[], KeyValueStore],
        in_thread: Callable[[Callable[[], None]], Coroutine[Any, Any, None]],
    ) -> None:
        """Raises `OSError`."""
        self._open = open_store
        self._in_thread = in_thread
        self._store = open_store()
        self._flushing: asyncio.Future[None] | None = None
        self.broken: str | None = None

    @property
    def busy(self) -> bool:
        """A flush is under way: the store may not be closed under it."""
        return self._flushing is not None and not self._flushing.done()

    def get(self, key: bytes) -> bytes | None:
        return self._store.get(key)

    def write(self, changes: Sequence[Change]) -> None:
        try:
            self._store.write(changes)
        except OSError as error:
            self._note(error)

    def scan_back(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        return self._store.scan_back(start, end)

    def delete_range(self, start: bytes, end: bytes) -> None:
        try:
            self._store.delete_range(start, end)
        except OSError as error:
            self._note(error)

    async def flush(self) -> None:
        """Everything written before this call survives a crash, unless the store is `broken` afterwards.

        One at a time, for all who ask meanwhile; to its end even if they are cancelled.
        """
        if self._flushing is not None and not self._flushing.done():
            await asyncio.wait({self._flushing})
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.ensure_future(self._in_thread(self._flush))
        await asyncio.shield(self._flushing)

    def _flush(self) -> None:
        try:
            self._store.flush()
        except OSError as error:
            self._note(error)

    def reopen(self) -> None:
        """Raises `OSError`."""
        self._close()
        self._store = self._open()
        self.broken = None

    async def close(self) -> None:
        if self._flushing is not None and not self._flushing.done():
            await asyncio.wait({self._flushing})
        self._close()

    def _close(self) -> None:
        """A store that cannot write what it still holds says so once more, and is closed nonetheless."""
        try:
            self._store.close()
        except OSError as error:
            log_.warning("the index was closed without its last changes: %s", error)

    def _note(self, error: OSError) -> None:
        if self.broken is None:
            log_.error("the index takes nothing more for now: %s", error)
        self.broken = str(error)


class LogIndex:
    """One log's part of the store."""

    def __init__(self, store: IndexStore, id_: bytes) -> None:
        self._store = store
        self._id = id_

    @property
    def broken(self) -> bool:
        """Whether something that was written is not in it."""
        return self._store.broken is not None

    def write(self, changes: list[Change]) -> None:
        self._store.write(changes)

    def place(self, segment: int, offset: int, position: int, timestamp_before: int) -> list[Change]:
        """`timestamp_before`: the largest timestamp in the segment before `position`."""
        changes: list[Change] = [
            (self._id + b"o" + _TWO.pack(segment, offset), _ENTRY.pack(position, timestamp_before))
        ]
        if timestamp_before >= 0:
            changes.append((self._id + b"t" + _THREE.pack(segment, timestamp_before, offset), _LONG.pack(position)))
        return changes

    def place_of(self, segment: int, offset: int) -> tuple[int, int]:
        """A position in the segment at or before the batch that holds `offset`, and the offset that is due there."""
        start = self._id + b"o" + _TWO.pack(segment, 0)
        for key, value in self._store.scan_back(start, self._id + b"o" + _TWO.pack(segment, offset + 1)):
            return int(_ENTRY.unpack(value)[0]), int(_LONG.unpack(key[-_LONG.size :])[0])
        return 0, segment

    def place_before(self, segment: int, timestamp: int) -> tuple[int, int]:
        """As `place_of`: a position before which the segment has no record of `timestamp` or newer."""
        start = self._id + b"t" + _THREE.pack(segment, 0, 0)
        for key, value in self._store.scan_back(start, self._id + b"t" + _THREE.pack(segment, max(timestamp, 0), 0)):
            return int(_LONG.unpack(value)[0]), int(_LONG.unpack(key[-_LONG.size :])[0])
        return 0, segment

    def closed(self, segment: int, facts: SegmentFacts) -> list[Change]:
        return [(self._id + b"s" + _LONG.pack(segment), _facts(facts))]

    def began(self, segment: int, producers: bytes) -> list[Change]:
        return [(self._id + b"q" + _LONG.pack(segment), producers)]

    def producers_at(self, segment: int) -> bytes | None:
        """Where the segment begins; None if that was not noted."""
        return self._store.get(self._id + b"q" + _LONG.pack(segment))

    def facts(self, segment: int) -> SegmentFacts | None:
        packed = self._store.get(self._id + b"s" + _LONG.pack(segment))
        return None if packed is None else SegmentFacts(*_SEGMENT.unpack(packed))

    def forget_segment(self, segment: int) -> None:
        self._store.write([(self._id + kind + _LONG.pack(segment), None) for kind in (b"s", b"q", b"n")])
        self.forget_places(segment)

    def forget_places(self, segment: int) -> None:
        """Look-ups in the segment begin at its beginning."""
        for kind, start, end in (
            (b"o", _TWO.pack(segment, 0), _TWO.pack(segment, _LIMIT)),
            (b"t", _THREE.pack(segment, 0, 0), _THREE.pack(segment, _LIMIT, 0)),
        ):
            self._store.delete_range(self._id + kind + start, self._id + kind + end)

    def swapping(self, segment: int, facts: SegmentFacts) -> None:
        """Another file takes the segment's place, or has taken it."""
        self._store.write([(self._id + b"n" + _LONG.pack(segment), _facts(facts))])

    def swapped(self, segment: int) -> list[Change]:
        """The segment's places are complete again."""
        return [(self._id + b"n" + _LONG.pack(segment), None)]

    def swaps(self) -> dict[int, SegmentFacts]:
        """By segment: what takes its place, where that was not done to its end."""
        found = self._store.scan_back(self._id + b"n", self._id + b"n" + _LONG.pack(_LIMIT))
        return {_LONG.unpack(key[-_LONG.size :])[0]: SegmentFacts(*_SEGMENT.unpack(value)) for key, value in found}

    def compacted_until(self) -> int:
        """0 where nothing is noted."""
        noted = self._store.get(self._id + b"d")
        return 0 if noted is None else int(_LONG.unpack(noted)[0])

    def scrubbed_ms(self) -> int:
        """0: never."""
        noted = self._store.get(self._id + b"v")
        return 0 if noted is None else int(_LONG.unpack(noted)[0])

    def note_scrubbed(self, now_ms: int) -> None:
        self._store.write([(self._id + b"v", _LONG.pack(now_ms))])

    def note_compacted(self, until: int) -> None:
        self._store.write([(self._id + b"d", _LONG.pack(until))])

    def forget_behind(self, segment: int, offset: int) -> None:
        """What it says of the log from `offset` on, which `segment` holds. The checkpoint stays as it is."""
        start, end = self._id + b"o" + _TWO.pack(segment, offset), self._id + b"o" + _TWO.pack(segment, _LIMIT)
        by_time: list[Change] = []
        for key, value in self._store.scan_back(start, end):
            at = _TWO.unpack_from(key, len(self._id) + 1)[1]
            timestamp = _ENTRY.unpack(value)[1]
            if timestamp >= 0:
                by_time.append((self._id + b"t" + _THREE.pack(segment, timestamp, at), None))
        self._store.write(by_time)
        following = _LONG.pack(segment + 1)
        for kind, first in (
            (b"o", _TWO.pack(segment, offset)),
            (b"t", following),
            (b"s", _LONG.pack(segment)),
            (b"n", following),
            (b"q", following),
        ):
            self._store.delete_range(self._id + kind + first, self._id + kind + _LONG.pack(_LIMIT))

    def offset_at(self, segment: int, position: int) -> int:
        """The offset of a batch of the segment that lies at `position` or before; the nearest that is known."""
        start, end = self._id + b"o" + _TWO.pack(segment, 0), self._id + b"o" + _TWO.pack(segment, _LIMIT)
        for key, value in self._store.scan_back(start, end):
            if _ENTRY.unpack(value)[0] <= position:
                return int(_TWO.unpack_from(key, len(self._id) + 1)[1])
        return segment

    async def flush(self) -> None:
        """What was written survives a crash, unless it is `broken` then."""
        await self._store.flush()

    def checkpoint(self, checkpoint: Checkpoint, producers: bytes) -> None:
        text = json.dumps(asdict(checkpoint), separators=(",", ":")).encode()
        self._store.write([(self._id + b"c", text), (self._id + b"p", producers)])

    def last_checkpoint(self) -> tuple[Checkpoint, bytes] | None:
        text, producers = self._store.get(self._id + b"c"), self._store.get(self._id + b"p")
        if text is None or producers is None:
            return None
        try:
            fields = json.loads(text)
            fields["epochs"] = tuple((int(epoch), int(start)) for epoch, start in fields["epochs"])
            return Checkpoint(**fields), producers
        except (ValueError, TypeError, KeyError):
            return None  # of another version, or damaged: derived anew

    def forget(self) -> None:
        self._store.delete_range(self._id, self._id + b"\xff")


def _facts(facts: SegmentFacts) -> bytes:
    return _SEGMENT.pack(facts.size, facts.next_offset, facts.max_timestamp, facts.max_timestamp_base)
