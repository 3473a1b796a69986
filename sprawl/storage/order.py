"""What a batch's checksum does not cover: its base offset and its leader epoch. Its neighbours vouch for them.

In: batches in the order in which they lie in a segment. Out: nothing, or `DamagedError`. Offsets follow each other;
where some are missing, as after compaction, the next batch has to begin behind. And the log knows which epoch wrote an
offset.
"""

from __future__ import annotations

from sprawl.storage.epochs import LeaderEpochs
from sprawl.storage.segment import DamagedError, Segment
from sprawl_protocol.records import BatchHeader

_OFFSET_SIZE = 8


class Order:
    def __init__(self, segment: Segment, epochs: LeaderEpochs, due: int) -> None:
        """`due`: no batch to be shown may begin below this offset."""
        self._segment = segment
        self._epochs = epochs
        self.due = due

    def admit(self, data: memoryview, position: int, pos: int, header: BatchHeader) -> bool:
        """The next batch, at `pos` of `data`, which was read at `position` of the segment.

        False: where the batch behind it begins must be known first, and was not read. Raises `DamagedError`.
        """
        if not self.due <= header.base_offset <= header.last_offset < self._segment.next_offset:
            self._refuse(position + pos, f"{_offsets(header)} where {self.due} was due")
        epoch = self._epochs.epoch_of(header.last_offset)
        if epoch >= 0 and header.partition_leader_epoch != epoch:
            self._refuse(position + pos, f"leader epoch {header.partition_leader_epoch}, not {epoch}")
        if header.base_offset > self.due:
            behind = pos + header.size
            if position + behind < self._segment.size:
                if behind + _OFFSET_SIZE > len(data):
                    return False
                following = int.from_bytes(data[behind : behind + _OFFSET_SIZE], "big")
                if header.last_offset >= following:
                    self._refuse(position + pos, f"{_offsets(header)} where {self.due} was due, and then {following}")
        self.due = header.next_offset
        return True

    def _refuse(self, position: int, reason: str) -> None:
        raise DamagedError(self._segment, position, reason)


def _offsets(header: BatchHeader) -> str:
    return f"offsets {header.base_offset} to {header.last_offset}"
