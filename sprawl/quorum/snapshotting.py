"""When a snapshot of the metadata is written, so that a start replays little and the log may let go of its beginning.

In: how many bytes the log has grown by; whether now would be a good time. Out: snapshots, one at a time.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from sprawl.quorum.history import MetadataHistory
from sprawl.quorum.metadata_log import MetadataLog
from sprawl.quorum.snapshots import Snapshot
from sprawl.runtime import Clock
from sprawl_protocol.errors import ApiError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SnapshotPolicy:
    """When a snapshot is due."""

    max_bytes: int = 20 * 1024 * 1024
    """Of records since the last one."""
    max_age_ms: int = 3_600_000
    """Of the oldest record that no snapshot holds; 0: no limit."""
    bytes_at_stop: int = 64 * 1024
    """A clean stop takes one if there are so many bytes to replay."""


class Snapshotting:
    def __init__(
        self, metadata_log: MetadataLog, history: MetadataHistory, clock: Clock, policy: SnapshotPolicy
    ) -> None:
        self._log = metadata_log
        self._history = history
        self._clock = clock
        self._policy = policy
        self._bytes = 0
        """Of records that no snapshot holds."""
        self._since_ms = 0
        self._task: asyncio.Task[None] | None = None

    def started(self, replayed: int) -> None:
        """`replayed`: so many bytes of the log were read behind the last snapshot."""
        self._bytes = replayed
        self._since_ms = self._clock.wall_ms()

    def committed(self) -> None:
        self._bytes += self._log.take_bytes_appended()

    def installed(self) -> None:
        """The leader's snapshot has taken the place of the log."""
        self._bytes = 0

    def write_if_due(self) -> None:
        policy = self._policy
        age_ms = self._clock.wall_ms() - self._since_ms
        due = self._bytes >= policy.max_bytes or 0 < policy.max_age_ms <= age_ms
        if due and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._write(), name="metadata snapshot")

    async def settled(self) -> None:
        """What is being written is written, or has failed."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def write_at_stop(self) -> None:
        if self._history.image.offset >= 0 and self._bytes >= self._policy.bytes_at_stop:
            await self._write()

    async def _write(self) -> None:
        """A failure is logged and leaves the log as long as it is; the next commit tries again."""
        image, size = self._history.image, self._bytes
        try:
            written = await self._log.write_snapshot(Snapshot(image, self._history.committed_voters.to_record()))
        except (OSError, ApiError) as problem:
            log.warning("no metadata snapshot at offset %d: %s", image.offset + 1, problem)
            return
        self._bytes -= size
        self._since_ms = self._clock.wall_ms()
        log.info("metadata snapshot at offset %d, epoch %d: %d bytes", image.offset + 1, image.epoch, written)
