"""What the leader of a tiered partition does for it, round after round: claim it, trim it, upload what is due.

In: the partition, and what the tier holds of it. Out: records and objects. A round that fails is tried again after a
pause that grows; nothing waits for it but the disk's own retention. In the order of a round:

1. Once in a leader epoch the partition is claimed: after that, no former leader can publish (`catalog.py`). Where an
   unclean election made the log go another way than what was uploaded, the tier's part is cut, if the topic allows
   such elections; otherwise nothing is touched until an operator has decided.
2. The log's start follows the tier's, where the log begins in the tier.
3. What is past retention, or below the log's start, begins to be deleted: so does what somebody started to upload and
   did not finish. Objects go after the grace time, then the records end.
4. Closed segments that are all decided (below the last stable offset) are uploaded, one after the other.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from dataclasses import dataclass
from typing import Final

from sprawl.objects.contract import ObjectStore
from sprawl.objects.errors import StoreError
from sprawl.partitions.partition import Partition
from sprawl.runtime import Runtime
from sprawl.tiers.catalog import Catalog, Entry, SegmentState
from sprawl.tiers.catalogs import Catalogs
from sprawl.tiers.counters import TierCounters
from sprawl.tiers.lineage import divergence
from sprawl.tiers.manifest import BadSegment
from sprawl.tiers.records import RecordKind
from sprawl.tiers.retention import start_after_retention
from sprawl.tiers.segments import LOG, MANIFEST, object_name
from sprawl.tiers.topic import TierTopic
from sprawl.tiers.uploads import Uploads
from sprawl.wire.client import ClientError
from sprawl_protocol.errors import ApiError

log = logging.getLogger(__name__)

_LEAST_PAUSE: Final = 0.5
_MOST_PAUSE: Final = 60.0


class Superseded(Exception):
    """Another leads by now."""


class Disputed(Exception):
    """The tier has committed records that the leader lacks: nobody but an operator gives them up."""

    def __init__(self, partition: Partition, split: int, end: int) -> None:
        super().__init__(
            f"the tier has other records than this leader from offset {split} to {end}: nothing is uploaded or "
            f"deleted. Bring back a replica of {partition} that has them; or set unclean.leader.election.enable=true "
            "on the topic, and they are given up"
        )


TROUBLE: Final = (StoreError, ApiError, ClientError, TimeoutError, OSError, ValueError, BadSegment, Disputed)
"""What may go wrong in a round and be better the next time."""


@dataclass(slots=True)
class Surroundings:
    """What all stewards of a node share."""

    store: ObjectStore
    topic: TierTopic
    catalogs: Catalogs
    uploads: Uploads
    runtime: Runtime
    counters: TierCounters
    slots: asyncio.Semaphore
    """How many segments are uploaded at once."""
    grace_ms: int
    retention_seconds: float
    """How often it is asked what is past retention."""
    upload_seconds: float
    """The longest an upload may take: what is left of one after that is nobody's."""


class Steward:
    def __init__(self, partition: Partition, around: Surroundings) -> None:
        self.partition = partition
        self._around = around
        self._key = (partition.topic_id, partition.index)
        self._claimed = -1
        self._failures = 0
        self._not_before = 0.0
        self._next_retention = 0.0

    @property
    def _catalog(self) -> Catalog:
        return self._around.catalogs[self._key]

    @property
    def due(self) -> bool:
        """Whether a round would do anything but look. Asked often: costs little, however much is in the tier."""
        partition, now_ms = self.partition, self._around.runtime.clock.wall_ms()
        if not partition.established or self._around.runtime.clock.monotonic() < self._not_before:
            return False
        catalog = self._catalog
        if not partition.config.remote_storage_enable and not len(catalog):
            return False
        return (
            self._claimed != partition.leader_epoch
            or self._uploadable(catalog)
            or self._retention_is_due
            or self._is_trimmable(catalog)
            or any(self._is_doomed(each) or self._is_due(each, now_ms) for each in catalog.unfinished)
        )

    async def round(self) -> None:
        """Never raises but for being cancelled, or for a bug."""
        try:
            await self._round()
            self._failures = 0
        except Superseded:
            self._claimed = -1
        except TROUBLE as problem:
            self._failures += 1
            most = min(_MOST_PAUSE, _LEAST_PAUSE * 2.0 ** min(self._failures, 20))
            pause = most * (0.5 + self._around.runtime.rng.random() / 2)
            self._not_before = self._around.runtime.clock.monotonic() + pause
            self._around.counters.copy_errors += 1
            log.warning("%s: the tier is tried again in %.1f s: %s", self.partition, pause, problem or repr(problem))

    async def _round(self) -> None:
        partition = self.partition
        epoch = partition.leader_epoch
        if self._claimed != epoch:
            await self._write(epoch, RecordKind.CLAIM)
            await self._reconcile(epoch)
            self._claimed = epoch
        self._move_start()
        await self._trim(epoch)
        while self._uploadable(self._catalog) and self._leads(epoch):
            async with self._around.slots:
                await self._upload(epoch)

    def _leads(self, epoch: int) -> bool:
        return self.partition.leading and self.partition.leader_epoch == epoch

    async def _write(self, epoch: int, kind: RecordKind, *, segment_id: str = "", offset: int = -1) -> None:
        """Raises `Superseded`, and as `TierTopic.write`."""
        if not self._leads(epoch):
            raise Superseded
        record = self._around.uploads.record(self.partition, epoch, kind, segment_id=segment_id, offset=offset)
        refusal = await self._around.topic.write(record)
        if refusal is not None:
            log.info("%s: %s is void: %s", self.partition, kind.value, refusal)
            raise Superseded

    async def _reconcile(self, epoch: int) -> None:
        """After the claim: everything that former leaders published is known."""
        catalog, here = self._catalog, self.partition.log
        if not catalog.chain:
            return
        split = divergence(
            catalog.epochs(), catalog.end_offset, here.epochs.entries, here.local_start_offset, here.log_end_offset
        )
        if split is not None:
            if not self.partition.config.unclean_leader_election_enable:
                raise Disputed(self.partition, split, catalog.end_offset)
            log.error("%s: what the tier has from offset %d on is not the leader's: cut off", self.partition, split)
            await self._write(epoch, RecordKind.CUT, offset=split)
        here.epochs.precede(catalog.epochs())

    @property
    def _retention_is_due(self) -> bool:
        return self._around.runtime.clock.monotonic() >= self._next_retention

    def _is_trimmable(self, catalog: Catalog) -> bool:
        first = catalog.first
        return first is not None and self._is_doomed(first)

    # -- trimming -------------------------------------------------------------------------------------------

    def _move_start(self) -> None:
        here, catalog = self.partition.log, self._catalog
        self._next_retention = self._around.runtime.clock.monotonic() + self._around.retention_seconds
        start = self._log_start(catalog, self._around.runtime.clock.wall_ms())
        if start > here.log_start_offset:
            log.info("%s: begins at %d now", self.partition, start)
            here.advance_log_start(start)

    def _log_start(self, catalog: Catalog, now_ms: int) -> int:
        """Where the log should begin now."""
        here, config = self.partition.log, self.partition.config
        start = here.log_start_offset
        if start < here.local_start_offset:
            start = max(
                start, min(catalog.start_offset if catalog.chain else here.local_start_offset, here.local_start_offset)
            )
        if self._is_given_up:
            return max(start, here.local_start_offset)
        end = catalog.end_offset
        untiered = sum(each.size for each in here.segments if each.next_offset > end)
        return min(start_after_retention(catalog.chain, untiered, config, now_ms, start), self.partition.high_watermark)

    @property
    def _is_given_up(self) -> bool:
        """The topic is not tiered any more, and what it had in the tier is to go."""
        config = self.partition.config
        return not config.remote_storage_enable and config.remote_log_delete_on_disable

    def _is_doomed(self, entry: Entry) -> bool:
        """Whether its deletion is to begin. What this leader uploads itself, it does between two looks."""
        if entry.state is SegmentState.COPY_FINISHED:
            return self._is_given_up or entry.end_offset <= self.partition.log.log_start_offset
        return entry.state is SegmentState.COPY_STARTED

    def _trimmable(self, catalog: Catalog) -> list[Entry]:
        return list(itertools.takewhile(self._is_doomed, catalog.chain))

    def _is_due(self, entry: Entry, now_ms: int) -> bool:
        """Whether its objects are to be deleted now."""
        return entry.state is SegmentState.DELETE_STARTED and now_ms - entry.since_ms >= self._around.grace_ms

    async def _trim(self, epoch: int) -> None:
        catalog = self._catalog
        for entry in [*self._trimmable(catalog), *catalog.unfinished]:
            if self._is_doomed(entry):
                await self._write(epoch, RecordKind.DELETE_STARTED, segment_id=entry.segment.id)
        now_ms = self._around.runtime.clock.wall_ms()
        for entry in self._catalog.unfinished:
            if self._is_due(entry, now_ms):
                name = object_name(*self._key, entry.segment)
                await self._around.store.delete_many([name + MANIFEST, name + LOG])
                await self._write(epoch, RecordKind.DELETE_FINISHED, segment_id=entry.segment.id)
                self._around.counters.deleted_segments += 1

    # -- uploading ------------------------------------------------------------------------------------------

    def _uploadable(self, catalog: Catalog) -> bool:
        config, here = self.partition.config, self.partition.log
        if not config.remote_storage_enable or config.remote_log_copy_disable or here.damaged is not None:
            return False
        return here.next_closed(self._from(catalog), self.partition.last_stable_offset) is not None

    def _from(self, catalog: Catalog) -> int:
        return max(catalog.end_offset, self.partition.log.log_start_offset)

    async def _upload(self, epoch: int) -> None:
        part = await self.partition.log.closed_part(self._from(self._catalog), self.partition.last_stable_offset)
        if part is None or not self._leads(epoch):
            return
        async with asyncio.timeout(self._around.upload_seconds):
            id_ = self._around.uploads.new_id()
            if not await self._around.uploads.copy(self.partition, part, epoch, id_):
                raise Superseded
