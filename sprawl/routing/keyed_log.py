"""An internal topic as its coordinator sees it: keys and values that are appended, read back whole, and trimmed.

In: (key, value or None) pairs for a partition of the topic. Out: the offset after them, once they are committed.
Only the leader of a partition may use it, and only in the leader epoch that the caller believes in.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence

from sprawl.partitions.partition import Partition
from sprawl.routing.router import Router
from sprawl.runtime import Clock
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.records import Record, build_batch, headers, records_of

KeyValue = tuple[bytes, bytes | None]

_BATCH_BYTES = 512 * 1024
_READ_BYTES = 4 * 1024 * 1024


class KeyedLog:
    def __init__(self, topic: str, router: Router, clock: Clock) -> None:
        self._topic = topic
        self._router = router
        self._clock = clock

    def leader_epoch(self, partition: int) -> int:
        """Raises `ApiError` if this node does not lead it."""
        return self._partition(partition).leader_epoch

    def end_offset(self, partition: int) -> int:
        return self._partition(partition).log.log_end_offset

    async def append(self, partition: int, records: Sequence[KeyValue], expected_epoch: int) -> int:
        """Returns the offset after the last record once all are committed.

        Raises `ApiError`: NOT_LEADER_OR_FOLLOWER if another epoch leads by now, else as the partition refuses.
        """
        target = self._partition(partition)
        if target.leader_epoch != expected_epoch:
            raise ApiError(
                ErrorCode.NOT_LEADER_OR_FOLLOWER,
                f"{target} is at leader epoch {target.leader_epoch}, its coordinator at {expected_epoch}",
            )
        now_ms = self._clock.wall_ms()
        appended = None
        for chunk in _chunks(records):
            batch = build_batch([Record(0, now_ms, key, value, []) for key, value in chunk], base_offset=0)
            view = memoryview(batch)
            appended = target.append(view, headers(view), all_replicas=True)
        if appended is None:
            return target.high_watermark
        await appended.commit.wait()
        return appended.commit.last_offset + 1

    async def read_all(self, partition: int) -> AsyncIterator[KeyValue]:
        """Everything committed, oldest first; waits until it is known what is."""
        source = self._partition(partition)
        await source.until_established()
        offset = source.log.log_start_offset
        while offset < source.high_watermark:
            read = await source.read(offset, _READ_BYTES, source.high_watermark, minimum_one=True)
            for buffer in read.buffers:
                for position, header in headers(buffer):
                    if header.is_control:
                        continue
                    for record in records_of(buffer, position):
                        if record.offset >= offset and record.key is not None:
                            yield bytes(record.key), None if record.value is None else bytes(record.value)
            assert read.next_offset > offset, "a read below the high watermark makes progress"
            offset = read.next_offset

    async def trim(self, partition: int, before_offset: int) -> None:
        self._partition(partition).delete_records(before_offset)

    def _partition(self, index: int) -> Partition:
        return self._router.leader(self._topic, index)


def _chunks(records: Sequence[KeyValue]) -> Iterator[list[KeyValue]]:
    chunk: list[KeyValue] = []
    size = 0
    for key, value in records:
        cost = len(key) + len(value or b"") + 32
        if chunk and size + cost > _BATCH_BYTES:
            yield chunk
            chunk, size = [], 0
        chunk.append((key, value))
        size += cost
    if chunk:
        yield chunk
