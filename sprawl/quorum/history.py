"""What the metadata log says, as far as it is committed and beyond.

In: batches as they come into this replica's log, and how far they are committed. Out: the committed image, the newest
one (with everything that may still be taken back), and the voters at either point. Plain state: no I/O, no decisions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from sprawl.quorum.batches import Control, MetadataBatch
from sprawl.quorum.delta import apply
from sprawl.quorum.image import MetadataImage
from sprawl.quorum.records import MetadataRecord
from sprawl.quorum.voters import Voters
from sprawl_protocol.messages import LeaderChangeMessage, VotersRecord


@dataclass(frozen=True, slots=True)
class Step:
    """One committed batch and what it changed. The same on every node that takes it from the log."""

    batch: MetadataBatch
    before: MetadataImage
    after: MetadataImage
    voters_before: Voters
    voters_after: Voters


@dataclass(slots=True)
class _Entry:
    batch: MetadataBatch
    image: MetadataImage | None
    """After the batch, where that is known already: on the leader, who decided upon it."""


class MetadataHistory:
    def __init__(self, cluster_id: str) -> None:
        self.image = MetadataImage(cluster_id)
        """What is committed."""
        self._uncommitted: deque[_Entry] = deque()
        self._voters: list[tuple[int, Voters]] = [(-1, Voters({}))]
        """The last committed ones, and behind them those that are not committed; each with the offset it stands at."""

    def restore(self, image: MetadataImage, voters: Voters) -> None:
        """Begin from a snapshot."""
        self.image = image
        self._uncommitted.clear()
        self._voters = [(image.offset, voters)]

    @property
    def voters(self) -> Voters:
        """The newest in the log, committed or not (KIP-853)."""
        return self._voters[-1][1]

    @property
    def committed_voters(self) -> Voters:
        return self._voters[0][1]

    @property
    def end_offset(self) -> int:
        return self._uncommitted[-1].batch.last_offset + 1 if self._uncommitted else self.image.offset + 1

    def take(self, batch: MetadataBatch, image: MetadataImage | None = None) -> None:
        """A batch has come into the log, behind all others."""
        assert batch.base_offset >= self.end_offset, f"offset {batch.base_offset} is behind {self.end_offset}"
        self._uncommitted.append(_Entry(batch, image))
        for control in batch.controls:
            if isinstance(control, VotersRecord):
                self._voters.append((batch.base_offset, Voters.of_record(control)))

    def truncate(self, offset: int) -> None:
        """Everything at and behind `offset` has been cut off the log."""
        assert offset > self.image.offset, f"offset {offset} would take back what is committed"
        while self._uncommitted and self._uncommitted[-1].batch.last_offset >= offset:
            self._uncommitted.pop()
        while len(self._voters) > 1 and self._voters[-1][0] >= offset:
            self._voters.pop()

    def commit(self, high_watermark: int, told: Callable[[Step], None] | None = None) -> MetadataImage:
        """Everything below is committed; `told` hears of each batch. Raises `DeltaError` if the log contradicts
        itself."""
        while self._uncommitted and self._uncommitted[0].batch.last_offset < high_watermark:
            entry = self._uncommitted.popleft()
            before, voters = self.image, self.committed_voters
            self.image = _after(before, (entry,))
            self._commit_voters(entry.batch.last_offset + 1)
            if told is not None:
                told(Step(entry.batch, before, self.image, voters, self.committed_voters))
        self._commit_voters(high_watermark)
        return self.image

    def _commit_voters(self, high_watermark: int) -> None:
        while len(self._voters) > 1 and self._voters[1][0] < high_watermark:
            self._voters.pop(0)

    def newest(self) -> MetadataImage:
        """With everything in the log: what a new leader goes on from. Raises `DeltaError`."""
        return _after(self.image, self._uncommitted)


def _after(image: MetadataImage, entries: Iterable[_Entry]) -> MetadataImage:
    for entry in entries:
        if entry.image is not None:
            image = entry.image
        else:
            batch = entry.batch
            image = image_after(image, batch.records, batch.controls, offset=batch.last_offset, epoch=batch.epoch)
    return image


def image_after(
    image: MetadataImage, records: Sequence[MetadataRecord], controls: Sequence[Control], *, offset: int, epoch: int
) -> MetadataImage:
    """Raises `DeltaError`."""
    if records:
        return apply(image, records, offset=offset, epoch=epoch)
    leaders = [control.leader_id for control in controls if isinstance(control, LeaderChangeMessage)]
    return replace(image, offset=offset, epoch=epoch, controller_id=leaders[-1] if leaders else image.controller_id)
