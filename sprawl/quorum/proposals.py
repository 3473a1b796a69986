"""What the leader of the quorum proposes, from the wish to the committed image.

All that is proposed in one turn of the event loop, or while the disk is busy, is written as one batch and synced once.
The next batch is written only when the one before is durable here: so a power failure finds one batch at most that may
be torn, and nothing behind it. An offset is given out only once, and only to what is in the log: what the disk does not
take is taken back from `proposed` together with all that was proposed behind.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sprawl.quorum.batches import Control, MetadataBatch, control_batch, data_batch
from sprawl.quorum.history import MetadataHistory, image_after
from sprawl.quorum.image import MetadataImage
from sprawl.quorum.metadata_log import MetadataLog
from sprawl.quorum.records import MetadataRecord
from sprawl.runtime import Clock
from sprawl_protocol.errors import ApiError, ErrorCode

_BATCH_RECORDS: Final = 20_000
"""A batch takes no further proposal once it holds so many records."""


@dataclass(slots=True)
class _Proposal:
    """Either `records` or `controls`."""

    records: Sequence[MetadataRecord]
    controls: Sequence[Control]
    image: MetadataImage
    """As it will be with this proposal committed."""
    committed: asyncio.Future[MetadataImage]


class Proposals:
    def __init__(self, log: MetadataLog, history: MetadataHistory, clock: Clock) -> None:
        self._log = log
        self._history = history
        self._clock = clock
        self._epoch = 0
        self._refusal: ApiError | None = ApiError(
            ErrorCode.NOT_CONTROLLER, "the metadata quorum has not started yet; try again"
        )
        self._unwritten: deque[_Proposal] = deque()
        self._uncommitted: deque[_Proposal] = deque()
        """In the log."""
        self._write_scheduled = False
        self.proposed = history.image
        """What will be committed if nothing fails."""

    # -- leading ------------------------------------------------------------------------------------------------

    def open(self, epoch: int, controls: Sequence[Control]) -> asyncio.Future[MetadataImage]:
        """This replica leads `epoch`, which begins with `controls`. Raises `DeltaError`."""
        assert not self._unwritten and not self._uncommitted, "proposals of a former epoch have been closed"
        self._epoch = epoch
        self._refusal = None
        self.proposed = self._history.newest()
        begun = self.change_quorum(controls)
        self._write()
        return begun

    def close(self, refusal: ApiError) -> None:
        """No longer leading: whether what was proposed is committed is for the next leader to say."""
        self._refusal = refusal
        lost = [*self._uncommitted, *self._unwritten]
        self._uncommitted.clear()
        self._unwritten.clear()
        self.proposed = self._history.image
        for each in lost:
            _resolve(each.committed, refusal)

    def refuse(self, refusal: ApiError) -> None:
        """Take on nothing more; what was proposed goes on."""
        self._refusal = refusal

    @property
    def refusal(self) -> ApiError | None:
        """Why nothing can be proposed here; None while this replica leads."""
        return self._refusal

    # -- proposing ------------------------------------------------------------------------------------------------

    def propose(self, records: Sequence[MetadataRecord]) -> asyncio.Future[MetadataImage]:
        """Commit `records`, all or none, behind everything proposed before. Await it for an image that holds them.

        They are in `proposed` at once. Without records: done once everything proposed before is committed.
        Raises `ApiError`, at once or when awaited, if they are not committed here or if that cannot be known.
        """
        if self._refusal is not None:
            raise self._refusal
        return self._enqueue(records, ()) if records else self.all_committed()

    def change_quorum(self, controls: Sequence[Control]) -> asyncio.Future[MetadataImage]:
        """What the quorum itself has to say: a new leader, new voters. Raises as `propose`."""
        if self._refusal is not None:
            raise self._refusal
        return self._enqueue((), controls)

    def all_committed(self) -> asyncio.Future[MetadataImage]:
        last = next(reversed(self._unwritten or self._uncommitted), None)
        if last is not None:
            return asyncio.shield(last.committed)
        done: asyncio.Future[MetadataImage] = asyncio.get_running_loop().create_future()
        done.set_result(self._history.image)
        return done

    def _enqueue(self, records: Sequence[MetadataRecord], controls: Sequence[Control]) -> asyncio.Future[MetadataImage]:
        last = self.proposed.offset + len(records) + len(controls)
        self.proposed = image_after(self.proposed, records, controls, offset=last, epoch=self._epoch)
        committed: asyncio.Future[MetadataImage] = asyncio.get_running_loop().create_future()
        # Nobody may be waiting any more when the leadership ends; that is no error of its own.
        committed.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._unwritten.append(_Proposal(records, controls, self.proposed, committed))
        self._write_soon()
        return asyncio.shield(committed)  # it is committed even if its proposer gives up

    # -- writing ----------------------------------------------------------------------------------------------------

    def durable(self) -> None:
        """What was written is on stable storage: the next batch may go."""
        self._write_soon()

    def _write_soon(self) -> None:
        if self._unwritten and not self._write_scheduled and self._log.durable_offset == self._log.end_offset:
            self._write_scheduled = True
            asyncio.get_running_loop().call_soon(self._write)

    def _write(self) -> None:
        """Hand what has gathered to the disk, as one batch."""
        self._write_scheduled = False
        if not self._unwritten or self._log.durable_offset != self._log.end_offset:
            return
        batch, encoded, taken = self._next_batch()
        try:
            base = self._log.append(encoded, self._epoch)
        except ApiError as problem:
            self._unwritten.extendleft(reversed(taken))
            self.rejected(self._log.end_offset, problem)
            return
        assert base == batch.base_offset, f"the metadata log is at {base}, its history at {batch.base_offset}"
        self._uncommitted += taken
        self._history.take(batch, taken[-1].image)

    def _next_batch(self) -> tuple[MetadataBatch, bytearray, list[_Proposal]]:
        first = self._unwritten.popleft()
        taken = [first]
        base, now_ms = self._history.end_offset, self._clock.wall_ms()
        if first.controls:
            batch = MetadataBatch(base, first.image.offset, self._epoch, now_ms, [], list(first.controls))
            return batch, control_batch(first.controls, base, self._epoch, now_ms), taken
        records = list(first.records)
        while self._unwritten and not self._unwritten[0].controls and len(records) < _BATCH_RECORDS:
            proposal = self._unwritten.popleft()
            taken.append(proposal)
            records += proposal.records
        batch = MetadataBatch(base, taken[-1].image.offset, self._epoch, now_ms, records, [])
        return batch, data_batch(records, base, self._epoch, now_ms), taken

    def rejected(self, first_offset: int, problem: ApiError) -> None:
        """Nothing from `first_offset` on is in the log, so nothing that was decided upon it is either.

        Its proposers may try again.
        """
        lost = [each for each in self._uncommitted if each.image.offset >= first_offset]
        for _ in lost:
            self._uncommitted.pop()
        lost += self._unwritten
        self._unwritten.clear()
        self._history.truncate(max(first_offset, self._history.image.offset + 1))
        self.proposed = self._history.newest()
        for each in lost:
            _resolve(each.committed, problem)

    # -- committing ---------------------------------------------------------------------------------------------------

    def committed(self, high_watermark: int) -> None:
        """Call it once the subscribers know the image."""
        while self._uncommitted and self._uncommitted[0].image.offset < high_watermark:
            proposal = self._uncommitted.popleft()
            _resolve(proposal.committed, proposal.image)
        self._write_soon()


def _resolve(future: asyncio.Future[MetadataImage], result: MetadataImage | ApiError) -> None:
    """Whoever waited may have given up."""
    if future.done():
        return
    if isinstance(result, ApiError):
        future.set_exception(result)
    else:
        future.set_result(result)
