"""The leader epochs of one log: which epoch began at which offset (KIP-101, KIP-279).

Pure. Epochs and their start offsets both ascend; an epoch that wrote nothing is superseded by the next one that
starts at the same offset.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable


class LeaderEpochs:
    def __init__(self, entries: Iterable[tuple[int, int]] = ()) -> None:
        self._entries: list[tuple[int, int]] = []
        """(epoch, start offset), ascending in both."""
        self._end_offset = 0
        for epoch, start in entries:
            self.assign(epoch, start)

    @property
    def entries(self) -> tuple[tuple[int, int], ...]:
        return tuple(self._entries)

    @property
    def latest(self) -> int:
        """The newest epoch; -1 if none is known."""
        return self._entries[-1][0] if self._entries else -1

    def assign(self, epoch: int, start_offset: int) -> bool:
        """Epoch `epoch` writes from `start_offset` on. True if that was news.

        An older epoch is, where the newer ones wrote nothing: a leader of one of them gave way before it had records.
        """
        while self._entries and self._entries[-1][0] > epoch and self._entries[-1][1] >= start_offset:
            self._entries.pop()
        if epoch <= self.latest:
            return False
        while self._entries and self._entries[-1][1] >= start_offset:
            self._entries.pop()
        self._entries.append((epoch, start_offset))
        return True

    def precede(self, entries: Iterable[tuple[int, int]]) -> None:
        """What is known, from elsewhere, of epochs before the first one here; ascending."""
        if not self._entries:
            for epoch, start in entries:
                self.assign(epoch, start)
            return
        epoch, start = self._entries[0]
        earlier = [entry for entry in entries if entry[1] < start]
        if earlier and earlier[-1][0] == epoch:
            del self._entries[0]
        self._entries[:0] = [entry for entry in earlier if entry[0] <= epoch]

    def epoch_of(self, offset: int) -> int:
        """The epoch that wrote `offset`; -1 if that is not known."""
        at = bisect_right(self._entries, offset, key=lambda entry: entry[1]) - 1
        return self._entries[at][0] if at >= 0 else -1

    def end_offset_for(self, epoch: int, log_end_offset: int) -> tuple[int, int]:
        """The largest epoch not above `epoch`, and the offset at which it ended; (-1, -1) if none is that old."""
        if epoch < 0 or not self._entries:
            return -1, -1
        at = bisect_right(self._entries, epoch, key=lambda entry: entry[0]) - 1
        if epoch > self.latest:
            return -1, -1
        if at < 0:
            return epoch, self._entries[0][1]
        end = self._entries[at + 1][1] if at + 1 < len(self._entries) else log_end_offset
        return self._entries[at][0], end

    def before(self, offset: int) -> tuple[tuple[int, int], ...]:
        """The entries of epochs that began below `offset`."""
        return tuple(entry for entry in self._entries if entry[1] < offset)

    def within(self, start: int, end: int) -> tuple[tuple[int, int], ...]:
        """The entries of epochs that wrote offsets from `start` up to `end`; the first one counts from `start`."""
        at = max(bisect_right(self._entries, start, key=lambda entry: entry[1]) - 1, 0)
        return tuple((epoch, max(first, start)) for epoch, first in self._entries[at:] if first < end)

    def truncate_end(self, offset: int) -> None:
        """Forget epochs that began at or behind `offset`."""
        while self._entries and self._entries[-1][1] >= offset:
            self._entries.pop()

    def truncate_start(self, offset: int) -> None:
        """The log begins at `offset` now: older epochs are forgotten, the one it lies in begins there."""
        at = bisect_right(self._entries, offset, key=lambda entry: entry[1]) - 1
        if at >= 0:
            self._entries[: at + 1] = [(self._entries[at][0], offset)]
