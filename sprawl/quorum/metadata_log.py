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
from sprawl.quorum.batches import MetadataBatch, read_batches
from sprawl.quorum.delta import DeltaError
from sprawl.quorum.image import MetadataImage
from sprawl.quorum.records import NewerRecordError, UnreadableRecordError
from sprawl.quorum.snapshots import Snapshot, SnapshotId, read_snapshot, write_snapshot
from sprawl.quorum.voters import Voters
from sprawl.runtime import Buffer, Runtime
from sprawl.storage.log import Log
from sprawl_protocol.errors import ApiError
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
    """Of the newest snapshot; empty if there is none."""
    voters: Voters
    """Of that snapshot; nobody if there is none."""
    batches: list[MetadataBatch]
    """Everything in the log behind the snapshot. Whether it is committed, the quorum's leader must say."""
    bytes_replayed: int


class MetadataLog:
    def __init__(self, replica: Log, directory: str, runtime: Runtime, cluster_id: str) -> None:
        """`directory`: where the replica's segments are."""
        self._replica = replica
        self._directory = directory
        self._runtime = runtime
        self._cluster_id = cluster_id
        self._base: SnapshotId | None = None
        """The snapshot that holds what came before the log."""
        self._bytes_appended = 0

    @property
    def start_offset(self) -> int:
        return self._replica.log_start_offset

    @property
    def end_offset(self) -> int:
        return self._replica.log_end_offset

    @property
    def written_offset(self) -> int:
        """Exclusive. What is below is not taken back any more, unless the whole log fails."""
        return self._replica.written_offset

    @property
    def durable_offset(self) -> int:
        """Exclusive."""
        return self._replica.durable_offset

    @property
    def failure(self) -> str | None:
        """Why nothing about this log can be believed any more; None while all is well."""
        return self._replica.failed or self._replica.damaged

    @property
    def writable(self) -> bool:
        """False from the first append that found the disk full until there is room again."""
        return self.failure is None and not self._replica.full

    @property
    def last_epoch(self) -> int:
        """Of the last batch, or of the snapshot before it; 0 if there is neither."""
        latest = self._replica.epochs.latest
        return latest if latest >= 0 else 0 if self._base is None else self._base.epoch

    def end_of_epoch(self, epoch: int) -> tuple[int, int]:
        """The largest epoch here that is not above `epoch`, and where it ends.

        (-1, -1) if only a snapshot could say; `epoch` itself, ending at 0, if there is nothing so old.
        """
        entries = self._replica.epochs.entries
        if not entries or epoch < entries[0][0]:
            if self.start_offset == 0:
                return epoch, 0
            base = self._base
            known = base is not None and base.end_offset == self.start_offset and epoch >= base.epoch
            return (base.epoch, self.start_offset) if known and base is not None else (-1, -1)
        return self._replica.epochs.end_offset_for(min(epoch, entries[-1][0]), self.end_offset)

    def follow(self, advanced: Callable[[], None], rejected: Callable[[int, ApiError], None]) -> None:
        """`advanced` is called whenever `durable_offset` or `failure` changed; `rejected` when what was appended and is
        not written yet could not be written after all, and is gone from the offset it is told."""
        self._replica.on_durable = lambda _: advanced()
        self._replica.on_rejected = rejected

    def append(self, batch: bytearray, epoch: int) -> int:
        """Returns the offset of the first record. Raises `ApiError` if nothing was appended."""
        offset = self._replica.log_end_offset
        self._replica.append(memoryview(batch), headers(batch), epoch, self._runtime.clock.wall_ms())
        self._bytes_appended += len(batch)
        return offset

    def take_bytes_appended(self) -> int:
        """Since it was last asked."""
        taken, self._bytes_appended = self._bytes_appended, 0
        return taken

    # Following

    def append_replicated(self, buffer: Buffer) -> None:
        """Whole batches of the leader, checked by the caller. Raises `ApiError` if nothing was appended."""
        held = bytearray(buffer)
        self._bytes_appended += len(held)
        self._replica.append_replicated(memoryview(held), headers(held))

    async def make_durable(self) -> None:
        """Raises `ApiError`."""
        await self._replica.make_stable()

    async def truncate(self, offset: int) -> None:
        """Cut off everything at and behind `offset`. Raises `ApiError`, `OSError`."""
        await self._replica.truncate_to(offset)

    async def read(self, offset: int, max_bytes: int) -> list[Buffer]:
        """Batches from `offset` on that are certain to stay in this log. Raises `ApiError`."""
        return list((await self._replica.read(offset, max_bytes, self._replica.written_offset)).buffers)

    # Reading at start

    async def load(self) -> Loaded:
        """Raises `MetadataLogError`."""
        if self.failure is not None:
            raise MetadataLogError(f"the metadata log in {self._directory} is damaged: {self.failure}")
        start = self._replica.log_start_offset
        found = self._newest_snapshot(start)
        image = MetadataImage(self._cluster_id) if found is None else found.image
        if start > image.offset + 1:
            raise MetadataLogError(
                f"the metadata log in {self._directory} begins at offset {start}, and no snapshot there can be read "
                "that holds what came before. Restore a snapshot, or the directory, from a copy"
            )
        if image.offset + 1 > self.end_offset:
            if not self._runtime.files.exists(self._install_mark):
                raise MetadataLogError(
                    f"the metadata log in {self._directory} ends at offset {self.end_offset}, before its snapshot at "
                    f"{image.offset + 1}: segments are missing. Restore the directory from a copy"
                )
            await self._replica.reset_to(image.offset + 1)
        if self._runtime.files.exists(self._install_mark):
            self._runtime.files.remove(self._install_mark)
        self._base = next((each for each in self._snapshots() if each.end_offset == self.start_offset), None)
        return await self._replay(image, Voters({}) if found is None else Voters.of_record(found.voters))

    async def _replay(self, image: MetadataImage, voters: Voters) -> Loaded:
        offset, size, end = image.offset + 1, 0, self.end_offset
        batches: list[MetadataBatch] = []
        while offset < end:
            read = await self._replica.read(offset, _READ_BYTES, end)
            try:
                for buffer in read.buffers:
                    size += len(buffer)
                    batches += [batch for batch in read_batches(buffer) if batch.last_offset >= offset]
            except (UnreadableRecordError, DeltaError) as problem:
                raise MetadataLogError(f"the metadata log in {self._directory} cannot be used: {problem}") from problem
            assert read.next_offset > offset, "a read below the log's end makes progress"
            offset = read.next_offset
        return Loaded(image, voters, batches, size)

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

        # What is committed may be on the disks of others only: a log that ends before its snapshot has lost segments.
        await self._replica.make_stable()
        size = await self._runtime.in_thread(write)
        self._replica.roll()
        *dropped, older, _ = [None, None, *self._snapshots()]
        if older is not None:
            self._replica.advance_log_start(older.end_offset)
            self._base = older
        for each in dropped:
            if each is not None:
                files.remove(self._path(each))
        return size

    def latest_snapshot(self) -> SnapshotId | None:
        return next(reversed(self._snapshots()), None)

    def snapshot_bytes(self, snapshot: SnapshotId) -> bytes:
        """Raises `OSError` if there is no such snapshot (any more)."""
        return self._runtime.files.read_bytes(self._path(snapshot))

    async def install(self, data: bytes, made: SnapshotId) -> Snapshot:
        """Take the leader's snapshot in the place of this log, which lacks what the snapshot holds.

        Raises `UnreadableRecordError`, `OSError`, `ApiError`; after a crash the next start has the old or the new.
        """
        snapshot = read_snapshot(data, made, self._cluster_id)
        files = self._runtime.files
        files.write_atomic(self._install_mark, b"")
        files.write_atomic(self._path(made), data)
        await self._replica.reset_to(made.end_offset)
        files.remove(self._install_mark)
        for each in self._snapshots():
            if each != made:
                files.remove(self._path(each))
        self._base = made
        return snapshot

    @property
    def _install_mark(self) -> str:
        """There while a snapshot takes the place of the log: then it may be ahead of it."""
        return f"{self._directory}/snapshot-under-installation"

    def _path(self, snapshot: SnapshotId) -> str:
        return f"{self._directory}/{snapshot.file_name}"
