"""What a restart finds in the files of one log.

In: the directory and the index. Out: segments, epochs and producer states, and whether the log is damaged. Nothing is
believed that was not synced before the last checkpoint: from there on every batch is read and its checksum compared.

- A clean shutdown leaves a checkpoint at the end of the files, so that nothing has to be read.
- A file that ends within a batch behind the checkpoint has a torn tail: the process died while it wrote, and the
  tail is cut. So are bytes at the end that are no batch, where nobody knows whether power failed.
- Anything else that is no batch, or a batch that does not belong where it lies, is damage: the log is served up to
  there and takes nothing more, until it is repaired. Nothing is cut.
- After a power failure it is otherwise: what was not synced may be torn anywhere, also before batches that are whole,
  and a segment may be missing its end. Behind the checkpoint the log is then cut at the first thing that is not right:
  in `fsync` durability everything acknowledged lies before it; in the others that is what they risk.
- An index that is missing or does not fit is derived anew from the files; what it says of the part behind the
  checkpoint is never used, for that part may have been cut off and written again.
- A reset that was under way (see `beginning.py`) is completed first; so is a swap of segments (see `swapping.py`): a
  segment that lies within the one before it is what was left of it.
"""

from __future__ import annotations

import logging
import posixpath
from dataclasses import dataclass, field
from typing import Final

from crc32c import crc32c

from sprawl.runtime import FileSystem
from sprawl.storage.beginning import finish_reset
from sprawl.storage.epochs import LeaderEpochs
from sprawl.storage.index import Change, Checkpoint, LogIndex, SegmentFacts
from sprawl.storage.producers import ProducerStates
from sprawl.storage.segment import CLEANED, DELETED, DamagedError, Segment, TornError, base_offset_of, checked, size_at
from sprawl_protocol.errors import ProtocolError
from sprawl_protocol.records import HEADER_SIZE, MAGIC, BatchHeader, check_crc, read_header

log = logging.getLogger(__name__)

_CHUNK: Final = 4 * 1024 * 1024
_INDEX_BATCH: Final = 4096
_DELTA_AT: Final = 23
"""Of the last offset, less the base offset."""
_CRC_AT: Final = 17
"""Of the checksum, which covers all that is behind it."""


@dataclass(slots=True)
class Recovered:
    segments: list[Segment]
    epochs: LeaderEpochs
    producers: ProducerStates
    damaged: str | None = None
    """Why the log ends where it does, if that is not where it should."""
    cut_bytes: int = 0
    read_bytes: int = 0


@dataclass(slots=True)
class _Start:
    """Where to begin reading."""

    segment: int = -1
    position: int = 0
    offset: int = 0
    checkpoint: Checkpoint | None = None
    producers: ProducerStates = field(default_factory=ProducerStates)


async def recover(
    files: FileSystem, directory: str, index: LogIndex, index_interval: int, *, power_failed: bool | None
) -> Recovered:
    """Raises `OSError`. An empty directory is an empty log without segments. `power_failed`: None if not known."""
    for name in files.list(directory):
        if name.endswith((DELETED, CLEANED)):
            files.remove(f"{directory}/{name}")
    finish_reset(files, directory)
    bases = sorted(b for name in files.list(directory) if (b := base_offset_of(name)) is not None)
    segments: list[Segment] = []
    for base in bases:
        path = f"{directory}/{base:020d}.log"
        file = files.open(path)
        segments.append(Segment(base, file, file.size, base, created_ms=files.modified_ms(path)))
    await _complete_swaps(files, directory, index, segments)
    start = _starting_point(index, segments)
    if start.checkpoint is None:
        index.forget()
    else:
        index.forget_behind(max(start.segment, 0), start.offset)
    work = _Recovery(files, index, index_interval, start, power_failed)
    found = await work.run(segments)
    if found.cut_bytes:
        log.warning("%s: cut a torn tail of %d bytes", directory, found.cut_bytes)
    if found.damaged:
        log.error("%s: %s; it is served up to there and takes no more records", directory, found.damaged)
    return found


async def _complete_swaps(files: FileSystem, directory: str, index: LogIndex, segments: list[Segment]) -> None:
    """Raises `OSError`."""
    for base, facts in index.swaps().items():
        swapped = next((each for each in segments if each.base_offset == base), None)
        if swapped is None or swapped.file.size != facts.size or await _end_of(swapped) != facts.next_offset:
            continue  # it never was in place, or has been cut since
        index.write(index.closed(base, facts))
        for left in [each for each in segments if base < each.base_offset < facts.next_offset]:
            log.info("%s: removed offsets from %d on, which are in the segment before", directory, left.base_offset)
            left.file.close()
            files.remove(left.file.path)
            segments.remove(left)


async def _end_of(segment: Segment) -> int:
    """The offset behind the last batch, as the batches themselves say it."""
    position, end = 0, segment.base_offset
    while position < segment.file.size:
        head = memoryview(await segment.file.read(position, HEADER_SIZE))
        size = size_at(head, 0)
        if len(head) < HEADER_SIZE or size < HEADER_SIZE:
            return -1
        end = int.from_bytes(head[:8], "big") + int.from_bytes(head[_DELTA_AT : _DELTA_AT + 4], "big") + 1
        position += size
    return end


def _starting_point(index: LogIndex, segments: list[Segment]) -> _Start:
    known = index.last_checkpoint()
    if known is None:
        return _Start()
    checkpoint, dumped = known
    for at, segment in enumerate(segments):
        if segment.base_offset < checkpoint.segment:
            facts = index.facts(segment.base_offset)
            if facts is None or facts.size != segment.file.size or facts.next_offset != segments[at + 1].base_offset:
                return _Start()
        elif segment.base_offset == checkpoint.segment:
            if segment.file.size < checkpoint.position:
                # The file lost what was stable: read everything, and say so.
                return _Start(checkpoint=checkpoint, segment=-1)
            try:
                producers = ProducerStates.load(dumped)
            except ValueError:
                return _Start()
            return _Start(segment.base_offset, checkpoint.position, checkpoint.offset, checkpoint, producers)
    return _Start(checkpoint=checkpoint, segment=-1)


class _Recovery:
    def __init__(
        self, files: FileSystem, index: LogIndex, interval: int, start: _Start, power_failed: bool | None
    ) -> None:
        self._files = files
        self._power_failed = power_failed
        self._index = index
        self._interval = interval
        self._start = start
        self._epochs = LeaderEpochs(start.checkpoint.epochs if start.checkpoint and start.segment >= 0 else ())
        self._producers = start.producers
        self._changes: list[Change] = []
        self._read = 0

    async def run(self, segments: list[Segment]) -> Recovered:
        damaged: str | None = None
        cut = 0
        kept: list[Segment] = []
        expected: int | None = None
        for at, segment in enumerate(segments):
            if expected is not None and segment.base_offset < expected:
                self._remove([segment])  # left of a swap, of which the index knows nothing any more
                continue
            if expected is not None and segment.base_offset != expected:
                if self._may_cut(expected):
                    cut += self._remove(segments[at:])
                else:
                    damaged = f"offsets {expected} to {segment.base_offset - 1} are missing"
                    _close(segments[at:])
                break
            kept.append(segment)
            if segment.base_offset < self._start.segment:
                self._trust(segment)
            else:
                following = segments[at + 1].base_offset if at + 1 < len(segments) else None
                try:
                    await self._read_segment(segment, following)
                except DamagedError as error:
                    behind = segments[at + 1 :]
                    if self._may_cut(segment.next_offset):
                        cut += self._cut(segment, error.position) + self._remove(behind)
                    elif not behind and await self._is_torn_tail(segment, error):
                        cut += self._cut(segment, error.position)
                    else:
                        damaged = str(error)
                        _close(behind)
                    break
            expected = segment.next_offset
        if damaged is None:
            damaged = self._missing(kept)
        await self._make_stable(kept)
        self._producers.commit()
        self._index.write(self._changes)
        return Recovered(kept, self._epochs, self._producers, damaged, cut, self._read)

    async def _make_stable(self, kept: list[Segment]) -> None:
        """What was read may be in the page cache only, and what was cut may come back. Raises `OSError`.

        The process before this one may have ended because a sync failed, also after a power failure that is not yet
        made good. What that sync should have written counts as clean since, and no sync will ever write it: it has to
        be written again.
        """
        for segment in kept:
            if segment.synced != segment.size:
                start = self._start
                await segment.file.rewrite(start.position if segment.base_offset == start.segment else 0)
                await segment.file.sync()
                segment.synced = segment.size
        if kept and kept[-1].base_offset > self._start.segment:
            # A segment that was begun since the last checkpoint: whether its name is on the disk, nobody knows.
            self._files.sync_dir(posixpath.dirname(kept[-1].file.path))

    def _may_cut(self, offset: int) -> bool:
        """Whether what begins at `offset` need not have survived the power failure there was.

        A log without a checkpoint is younger than the interval between checkpoints.
        """
        if not self._power_failed:
            return False
        checkpoint = self._start.checkpoint
        return checkpoint is None or offset >= checkpoint.offset

    def _cut(self, segment: Segment, position: int) -> int:
        size = segment.file.size - position
        segment.file.truncate(position)
        segment.synced = -1
        return size

    def _remove(self, segments: list[Segment]) -> int:
        """They lie behind a gap: nothing in them was acknowledged."""
        for segment in segments:
            segment.file.close()
            self._files.remove(segment.file.path)
        if segments:
            self._files.sync_dir(posixpath.dirname(segments[0].file.path))
        return sum(segment.size for segment in segments)

    def _missing(self, kept: list[Segment]) -> str | None:
        """What was stable at the last checkpoint must still be there."""
        checkpoint = self._start.checkpoint
        if checkpoint is None:
            return None
        end = kept[-1].next_offset if kept else -1
        if end < checkpoint.offset:
            return f"records up to offset {checkpoint.offset - 1} were on stable storage, the files end at {end}"
        return None

    def _trust(self, segment: Segment) -> None:
        facts = self._index.facts(segment.base_offset)
        assert facts is not None, "checked by _starting_point"
        segment.next_offset = facts.next_offset
        segment.max_timestamp = facts.max_timestamp
        segment.max_timestamp_base = facts.max_timestamp_base
        segment.synced = segment.size

    async def _read_segment(self, segment: Segment, following: int | None) -> None:
        """Every batch from the starting point on. Raises `DamagedError` where they end before the file does.

        `following`: where the next segment begins.
        """
        position = 0
        if segment.base_offset != self._start.segment or self._start.position == 0:
            self._changes += self._index.began(segment.base_offset, self._producers.dump())
        if segment.base_offset == self._start.segment:
            checkpoint = self._start.checkpoint
            assert checkpoint is not None
            position = checkpoint.position
            segment.next_offset = checkpoint.offset
            segment.max_timestamp = checkpoint.max_timestamp
            segment.max_timestamp_base = checkpoint.max_timestamp_base
            segment.first_timestamp = checkpoint.max_timestamp
            segment.last_indexed = position
            # After a mere kill its end may be a cut that only the page cache knows.
            segment.synced = position if self._power_failed else -1
        end = segment.file.size
        while position < end:
            data = memoryview(await segment.file.read(position, _CHUNK))
            used = self._read_chunk(segment, data, position, following, more=True)
            if used == 0:
                # The first batch is large, or the one behind it must be seen.
                wanted = size_at(data, 0)
                if not HEADER_SIZE <= wanted <= end - position:
                    segment.size = position
                    raise TornError(segment, position)
                data = memoryview(await segment.file.read(position, min(wanted + _CHUNK, end - position)))
                used = self._read_chunk(segment, data, position, following, more=False)
            position += used
        segment.size = position
        facts = SegmentFacts(segment.size, segment.next_offset, segment.max_timestamp, segment.max_timestamp_base)
        self._changes += self._index.closed(segment.base_offset, facts)

    def _read_chunk(
        self, segment: Segment, data: memoryview, position: int, following: int | None, *, more: bool
    ) -> int:
        """Take in the whole batches of `data`; returns the bytes they fill. `more` of the file can be had at once."""
        pos = 0
        while len(data) - pos >= HEADER_SIZE:
            size = size_at(data, pos)
            if len(data) - pos < size:
                break
            try:
                header = checked(segment, data, position, pos)
                behind = position + pos + size
                if not self._expected(segment, header):
                    if more and len(data) - pos < size + _CHUNK // 2 and position + len(data) < segment.file.size:
                        break  # to be seen together with the one behind it
                    then = following if behind == segment.file.size else None
                    self._confirm(segment, header, _header_at(data, pos + size), position + pos, then)
            except DamagedError as error:
                segment.size = error.position
                raise
            at = position + pos
            if at - segment.last_indexed >= self._interval:
                self._changes += self._index.place(segment.base_offset, header.base_offset, at, segment.max_timestamp)
                segment.last_indexed = at
                if len(self._changes) > _INDEX_BATCH:
                    self._index.write(self._changes)
                    self._changes = []
            segment.note(header)
            self._epochs.assign(header.partition_leader_epoch, header.base_offset)
            if header.producer_id >= 0 and not header.is_control:
                self._producers.update(header)
            pos += size
        self._read += pos
        return pos

    def _expected(self, segment: Segment, header: BatchHeader) -> bool:
        """Whether base offset and leader epoch, which the checksum does not cover, are just what was due."""
        return header.base_offset == segment.next_offset and header.partition_leader_epoch == self._epochs.latest

    def _confirm(
        self, segment: Segment, header: BatchHeader, behind: BatchHeader | None, position: int, following: int | None
    ) -> None:
        """Offsets may be missing before a batch, and its epoch may be new, if what comes behind it agrees: the next
        batch, or the next segment, which begins at `following`. Raises `DamagedError`."""
        epoch, due = header.partition_leader_epoch, segment.next_offset
        newest = epoch if behind is None else behind.partition_leader_epoch
        if not self._epochs.latest <= epoch <= newest:
            reason = f"leader epoch {epoch} between {self._epochs.latest} and {newest}"
            raise DamagedError(segment, position, reason)
        if behind is not None:
            following = behind.base_offset
        if header.base_offset < due or (header.base_offset > due and not _is_before(header, following)):
            then = "" if following is None else f", and then {following}"
            reason = f"offsets {header.base_offset} to {header.last_offset} where {due} was due{then}"
            raise DamagedError(segment, position, reason)

    async def _is_torn_tail(self, segment: Segment, error: DamagedError) -> bool:
        checkpoint = self._start.checkpoint
        if checkpoint is not None and segment.next_offset < checkpoint.offset:
            return False
        if isinstance(error, TornError):
            if await _is_whole_to_the_end(segment, error.position):
                return False  # it names a wrong length
        elif self._power_failed is False or await _is_batch_at(segment, error.position):
            return False  # a process that dies leaves bytes out, it leaves no wrong ones
        return not await _has_batch_behind(segment, error.position + 1)


def _is_before(header: BatchHeader, offset: int | None) -> bool:
    return offset is not None and header.last_offset < offset


def _header_at(data: memoryview, pos: int) -> BatchHeader | None:
    """Of the batch that begins there, if all of one was read."""
    size = size_at(data, pos)
    if not HEADER_SIZE <= size <= len(data) - pos or not _is_batch(data[pos : pos + size], 0):
        return None
    return read_header(data, pos)


def _close(segments: list[Segment]) -> None:
    for segment in segments:
        segment.file.close()


async def _is_batch_at(segment: Segment, position: int) -> bool:
    head = memoryview(await segment.file.read(position, HEADER_SIZE))
    return _header_at(memoryview(await segment.file.read(position, size_at(head, 0))), 0) is not None


async def _is_whole_to_the_end(segment: Segment, position: int) -> bool:
    """Whether the checksum of the batch that begins there is that of all that is left of the file."""
    end = segment.file.size
    head = bytes(await segment.file.read(position, HEADER_SIZE))
    if len(head) < HEADER_SIZE:
        return False
    checksum, at = 0, position + _CRC_AT + 4
    while at < end:
        data = await segment.file.read(at, _CHUNK)
        checksum, at = crc32c(data, checksum), at + len(data)
    return checksum == int.from_bytes(head[_CRC_AT : _CRC_AT + 4], "big")


async def _has_batch_behind(segment: Segment, position: int) -> bool:
    """Whether anywhere from `position` on a whole batch with a right checksum begins."""
    end = segment.file.size
    magic = bytes((MAGIC,))
    while position + HEADER_SIZE <= end:
        data = bytes(await segment.file.read(position, _CHUNK))
        at = data.find(magic, 16)
        while at >= 0:
            pos = at - 16
            size = size_at(memoryview(data), pos)
            if HEADER_SIZE <= size <= end - position - pos:
                batch = data[pos : pos + size]
                if len(batch) < size:
                    batch = bytes(await segment.file.read(position + pos, size))
                if _is_batch(batch, segment.next_offset):
                    return True
            at = data.find(magic, at + 1)
        position += max(len(data) - HEADER_SIZE, 1)
    return False


def _is_batch(data: bytes | memoryview, at_least: int) -> bool:
    try:
        header = read_header(data)
    except ProtocolError:
        return False
    return header.base_offset >= at_least and check_crc(data, 0, header)
