"""The metadata log on one node's disk: partition 0 of `__cluster_metadata`, and the snapshots beside its segments.

In: batches to append, images to keep as snapshots. Out: what a start finds (`load`), and how far the log is durable.
It does not know what the quorum is about to decide, nor who leads: it keeps what it is given.

Two snapshots are kept, and the log from the older one on: if the newer one cannot be read, the older one and the log
still say everything. A snapshot counts only with its footer; the log is cut only after the file is durable.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from sprawl.config.broker import BrokerConfig
from sprawl.config.topics import Durability, TopicConfig
from sprawl.quorum.batches import read_batches
from sprawl.quorum.delta import DeltaError, apply
from sprawl.quorum.image import MetadataImage
from sprawl.quorum.records import NewerRecordError, UnreadableRecordError
from sprawl.quorum.snapshots import Snapshot, SnapshotId, read_snapshot, write_snapshot
from sprawl.runtime import Runtime
from sprawl.storage.log import Log
from sprawl_protocol.errors import ApiError
from sprawl_protocol.messages import VotersRecord
from sprawl_protocol.records import headers

log = logging.getLogger(__name__)

_READ_BYTES: Final = 4 * 1024 * 1024
_DAMAGED: Final = ".damaged"


class MetadataLogError(OSError):
    """The metadata on this disk cannot be used. The text says what a person can do; the node must not start."""


def metadata_topic_config(config: BrokerConfig) -> TopicConfig:
    """The settings to open the metadata topic's log with: always synced, never expired."""
    return replace(
        TopicConfig(),
        segment_bytes=config.metadata_log_segment_bytes,
        retention_ms=-1,
        retention_bytes=-1,
        segment_ms=2**63 - 1,
        max_message_bytes=2**31 - 1,
        sprawl_durability=Durability.FSYNC,
    )


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a start finds."""

    image: MetadataImage
    """Everything in snapshot and log, committed or not: a leader commits it with the first record of its epoch."""
    voters: VotersRecord | None
    """None if the log is new."""
    epoch: int
    """Of the last batch."""
    bytes_replayed: int


class MetadataLog:
    def __init__(self, replica: Log, directory: str, runtime: Runtime, cluster_id: str) -> None:
        """`directory`: where the replica's segments are."""
        self._replica = replica
        self._directory = directory
        self._runtime = runtime
        self._cluster_id = cluster_id

    @property
    def end_offset(self) -> int:
        return self._replica.log_end_offset

    @property
    def durable_offset(self) -> int:
        """Exclusive."""
        return self._replica.durable_offset

    @property
    def failure(self) -> str | None:
        """Why nothing about this log can be believed any more; None while all is well."""
        return self._replica.failed or self._replica.damaged

    def follow(self, advanced: Callable[[], None], rejected: Callable[[ApiError], None]) -> None:
        """`advanced` is called whenever `durable_offset` or `failure` changed; `rejected` when what was appended and is
        not durable yet could not be written after all, and is gone."""
        self._replica.on_durable = lambda _: advanced()
        self._replica.on_rejected = lambda _, problem: rejected(problem)

    def append(self, batch: bytearray, epoch: int) -> int:
        """Returns the offset of the first record. Raises `ApiError` if nothing was appended."""
        offset = self._replica.log_end_offset
        self._replica.append(memoryview(batch), headers(batch), epoch, self._runtime.clock.wall_ms())
        return offset

    # Reading at start

    async def load(self) -> Loaded:
        """Raises `MetadataLogError`."""
        start, end = self._replica.log_start_offset, self._replica.log_end_offset
        if self.failure is not None:
            raise MetadataLogError(f"the metadata log in {self._directory} is damaged: {self.failure}")
        found = self._newest_snapshot(start)
        image = MetadataImage(self._cluster_id) if found is None else found.image
        voters = None if found is None else found.voters
        if start > image.offset + 1:
            raise MetadataLogError(
                f"the metadata log in {self._directory} begins at offset {start}, and no snapshot there can be read "
                "that holds what came before. Restore a snapshot, or the directory, from a copy"
            )
        if image.offset >= end:
            raise MetadataLogError(
                f"the metadata log in {self._directory} ends at offset {end}, before its snapshot at "
                f"{image.offset + 1}: segments are missing. Restore the directory from a copy"
            )
        return await self._replay(image, voters, end)

    async def _replay(self, image: MetadataImage, voters: VotersRecord | None, end: int) -> Loaded:
        offset, size, epoch = image.offset + 1, 0, image.epoch
        while offset < end:
            read = await self._replica.read(offset, _READ_BYTES, end)
            try:
                for buffer in read.buffers:
                    size += len(buffer)
                    for batch in read_batches(buffer):
                        if batch.last_offset < offset:
                            continue
                        epoch = batch.epoch
                        image = apply(image, batch.records, offset=batch.last_offset, epoch=epoch)
                        for control in batch.controls:
                            if isinstance(control, VotersRecord):
                                voters = control
            except (UnreadableRecordError, DeltaError) as problem:
                raise MetadataLogError(f"the metadata log in {self._directory} cannot be used: {problem}") from problem
            assert read.next_offset > offset, "a read below the log's end makes progress"
            offset = read.next_offset
        return Loaded(image, voters, epoch, size)

    # Snapshots

    def _newest_snapshot(self, log_start: int) -> Snapshot | None:
        """The newest that can be read; None if there is none and the log goes back to its birth."""
        unreadable = ""
        for each in reversed(self._snapshots()):
            path = self._path(each)
            try:
                return read_snapshot(self._runtime.files.read_bytes(path), each, self._cluster_id)
            except NewerRecordError as problem:
                raise MetadataLogError(f"the metadata snapshot {path} cannot be used: {problem}") from problem
            except (UnreadableRecordError, OSError) as problem:
                log.error("the metadata snapshot %s is damaged and put aside, an older one is used: %s", path, problem)
                self._runtime.files.rename(path, path + _DAMAGED)
                unreadable = f"{path}: {problem}"
        if unreadable and log_start > 0:
            raise MetadataLogError(f"no metadata snapshot can be read; the oldest is {unreadable}")
        return None

    def _snapshots(self) -> list[SnapshotId]:
        if not self._runtime.files.exists(self._directory):
            return []
        found = (SnapshotId.of_file(name) for name in self._runtime.files.list(self._directory))
        return sorted(each for each in found if each is not None)

    async def write_snapshot(self, snapshot: Snapshot) -> int:
        """Keep it, drop those it replaces, and let go of the log that is no longer needed. Returns its size.

        Raises `OSError`, `ApiError`; the log is then as long as it was.
        """
        image = snapshot.image
        made = SnapshotId(image.offset + 1, image.epoch)
        now_ms = self._runtime.clock.wall_ms()
        files, path = self._runtime.files, self._path(made)

        def write() -> int:
            data = write_snapshot(snapshot, now_ms)
            files.write_atomic(path, data)
            return len(data)

        size = await self._runtime.in_thread(write)
        await self._replica.make_stable()
        self._replica.roll()
        *dropped, older, _ = [None, None, *self._snapshots()]
        if older is not None:
            self._replica.advance_log_start(older.end_offset)
        for each in dropped:
            if each is not None:
                files.remove(self._path(each))
        return size

    def _path(self, snapshot: SnapshotId) -> str:
        return f"{self._directory}/{snapshot.file_name}"
