"""A log on a real directory, and the batches that go into it."""

from __future__ import annotations

import asyncio
import errno
import random
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from sprawl.config.topics import TopicConfig
from sprawl.runtime import Buffer
from sprawl.runtime.real import RealRuntime
from sprawl.storage.log import Log
from sprawl.storage.manager import LogManager, StorageSettings
from sprawl_protocol.records import Record, build_batch, headers, records_of

TOPIC_ID = UUID(int=42)
SETTINGS = StorageSettings(
    memory_bytes=1 << 20, disk_reserve_bytes=0, retention_check_ms=300_000, producer_expiration_ms=86_400_000
)


class Disk:
    """A data directory that can be opened, crashed (copied as it is) and damaged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.runtime = RealRuntime()
        self.rng = random.Random(7)

    @asynccontextmanager
    async def manager(self, settings: StorageSettings = SETTINGS) -> AsyncIterator[LogManager]:
        manager = LogManager(self.runtime, str(self.path), settings)
        await manager.start()
        try:
            yield manager
        finally:
            await manager.close()

    @asynccontextmanager
    async def log(self, settings: StorageSettings = SETTINGS, **configs: str) -> AsyncIterator[Log]:
        async with self.manager(settings) as manager:
            yield await manager.open(TOPIC_ID, "orders", 0, config(**configs))

    def crashed(self) -> Disk:
        """The directory as a process that is killed now would leave it."""
        copy = self.path.with_name(self.path.name + "-crashed")
        shutil.copytree(self.path, copy)
        return Disk(copy)

    @property
    def segments(self) -> list[Path]:
        return sorted((self.path / "orders-0").glob("*.log"))

    def flip(self, segment: Path, position: int) -> None:
        data = bytearray(segment.read_bytes())
        data[position] ^= 0xFF
        segment.write_bytes(data)


def config(**configs: str) -> TopicConfig:
    return TopicConfig.of({"sprawl.durability": "disk", **{k.replace("_", "."): v for k, v in configs.items()}})


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path / "data")


def append(log: Log, count: int = 1, *, size: int = 100, timestamp: int = 1_000, epoch: int = -1, **batch: int) -> int:
    """Append one batch; returns its base offset."""
    value = random.Random(log.log_end_offset).randbytes(size)
    records = [Record(0, timestamp + n, b"key", value) for n in range(count)]
    view = memoryview(build_batch(records, **batch))  # type: ignore[arg-type]
    return log.append(
        view, headers(view), max(epoch, log.epochs.latest, 0) if epoch < 0 else epoch, now_ms=5_000
    ).base_offset


async def written(log: Log) -> None:
    """Until everything appended counts as durable."""
    await eventually(lambda: log.durable_offset == log.log_end_offset or log.failed is not None)


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


async def offsets(log: Log, start: int | None = None, until: int | None = None) -> list[int]:
    """Of every record that can be read."""
    offset = log.log_start_offset if start is None else start
    end = log.log_end_offset if until is None else until
    found = []
    while offset < end:
        read = await log.read(offset, 64 * 1024, end)
        found += [r.offset for b in read.buffers for pos, _ in headers(b) for r in records_of(b, pos)]
        if read.next_offset == offset:
            break
        offset = read.next_offset
    return [each for each in found if each >= (log.log_start_offset if start is None else start)]


class Faulty:
    """Stands in front of a log's active file; `appending` and `syncing` may be given something that fails."""

    def __init__(self, log: Log) -> None:
        self._file = log.segments.active.file
        self.appending: Callable[[], None] = lambda: None
        self.syncing: Callable[[], None] = lambda: None
        self.may_sync = asyncio.Event()
        self.may_sync.set()
        self.writes: list[int] = []
        log.segments.active.file = self  # type: ignore[assignment]

    def append(self, buffers: Sequence[Buffer]) -> int:
        self.appending()
        self.writes.append(len(buffers))
        return self._file.append(buffers)

    async def sync(self) -> None:
        self.syncing()
        await self.may_sync.wait()
        await self._file.sync()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def disk_full() -> None:
    raise OSError(errno.ENOSPC, "no space left on device")


def broken_disk() -> None:
    raise OSError(errno.EIO, "input/output error")
