"""Of what was read of a segment: the whole batches that a reader asked for, each checked.

In: bytes, and where in the file they were. Out: a view of the batches from an offset on, or how
to go on if there are none.
"""

from __future__ import annotations

from dataclasses import dataclass

from sprawl.runtime import Buffer
from sprawl.storage.order import Order
from sprawl.storage.segment import Segment, checked, size_at
from sprawl_protocol.records import HEADER_SIZE


@dataclass(slots=True)
class Found:
    """Whole batches out of one read."""

    data: memoryview
    position: int
    """Of `data` in the file."""
    next_offset: int
    wanted: int
    """If not zero: nothing fitted, and this many bytes must be read to have the first batch."""
    due: int = -1
    """Without data: the offset due at `position`."""


def batches_in(
    order: Order, segment: Segment, data: Buffer, position: int, offset: int, until: int, room: int, minimum_one: bool
) -> Found:
    """Of `data`, read at `position`, the batches from the one that holds `offset` up to `until`, in `room` bytes.

    Every batch returned has been checked against its checksum and those before it. Raises `DamagedError`.
    """
    view = memoryview(data)
    begin = end = pos = wanted = 0
    next_offset, due = offset, order.due
    while len(view) - pos >= HEADER_SIZE:
        size = size_at(view, pos)
        if size > len(view) - pos and HEADER_SIZE <= size <= segment.size - position - pos:
            break  # the rest of it was not read
        header = checked(segment, view, position, pos)
        if not order.admit(view, position, pos, header):
            wanted = header.size + HEADER_SIZE
            break
        if header.base_offset >= until:
            break
        if header.last_offset >= offset:
            if end == 0:
                begin = pos
            if pos + header.size - begin > room and (end or not minimum_one):
                return Found(view[begin:end], position + begin, next_offset, 0)
            end = pos + header.size
            next_offset = header.next_offset
        pos += header.size
        due = order.due
    if end:
        return Found(view[begin:end], position + begin, next_offset, 0)
    left = len(view) - pos
    if left < HEADER_SIZE and position + pos + HEADER_SIZE <= segment.size:
        wanted = HEADER_SIZE
    elif left >= HEADER_SIZE and not wanted:
        size = size_at(view, pos)
        wanted = size if size > left else 0
    return Found(view[:0], position + pos, offset, wanted, due)
