"""The log on this disk: append, read, recover, start: `python -m tools.bench.storage`.

For each durability: appends through the log as a produce request makes them (group commit, index, tail), until all of
it counts as durable; then reads of the same log from its files, without the tail; a restart that reads everything, as
after a crash without a checkpoint; and a clean start with many partitions. Medians of several runs in fresh directories
below `--directory`: give one on the disk in question. What is read is in the page cache, so reading and recovery are
bound by the processor here. CPU is that of the whole process, its threads included, over the appends.

"""

from __future__ import annotations

import asyncio
import logging
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from sprawl.config.topics import Durability, TopicConfig
from sprawl.runtime.real import RealRuntime
from sprawl.runtime.real.loop import run
from sprawl.storage.log import Log
from sprawl.storage.manager import INDEX_DIRECTORY, LogManager, StorageSettings
from sprawl_protocol.records import Record, build_batch, headers

MIB = 1 << 20
SETTINGS = StorageSettings(
    memory_bytes=64 * MIB, disk_reserve_bytes=0, retention_check_ms=300_000, producer_expiration_ms=86_400_000
)
RECORD_BYTES = 100
IN_FLIGHT = 5
"""Batches appended in one turn of the loop, as a client's pipeline brings them."""


@dataclass(frozen=True, slots=True)
class Load:
    megabytes: int
    batch_bytes: int
    partitions: int


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one run; MB are 10^6 bytes."""

    append_mb: float
    append_records: float
    """Thousands a second."""
    cpu_per_gb: float
    read_mb: float
    recover_mb: float
    start_seconds: float


def main(
    directory: Annotated[Path | None, typer.Option(help="Where to write; a temporary directory by default.")] = None,
    runs: Annotated[int, typer.Option(min=1, help="Runs of each durability; medians are shown.")] = 3,
    megabytes: Annotated[int, typer.Option(min=1, help="Appended in a run.")] = 200,
    batch_bytes: Annotated[int, typer.Option(min=200, help="Size of a batch.")] = 64 * 1024,
    partitions: Annotated[int, typer.Option(min=1, help="Opened by the start that is timed.")] = 300,
) -> None:
    """Example: python -m tools.bench.storage --directory /data --batch-bytes 1000"""
    logging.disable(logging.WARNING)
    console = Console()
    load = Load(megabytes, batch_bytes, partitions)
    found: dict[Durability, list[Figures]] = {durability: [] for durability in Durability}
    with _progress(console) as progress:
        task = progress.add_task("warm-up", total=runs * len(found))
        with _fresh(directory) as path:
            measure(path, Durability.DISK, load)
        order = list(found)
        for run_number in range(runs):
            # Interleaved, and each first in its turn: what a run leaves to the next in caches favours none.
            turn = run_number % len(order)
            for durability in order[turn:] + order[:turn]:
                progress.update(task, description=durability.value)
                with _fresh(directory) as path:
                    found[durability].append(measure(path, durability, load))
                progress.advance(task)
    console.print(as_table(found, load, runs))


def measure(path: Path, durability: Durability, load: Load) -> Figures:
    one, many = path / "one", path / "many"
    append_seconds, cpu_seconds, size, records = run(_append(one, durability, load))
    read_seconds = run(_read(one, durability))
    recover_seconds = run(_recover(one, durability))
    start_seconds = run(_start(many, durability, load.partitions))
    return Figures(
        size / append_seconds / 1e6,
        records / append_seconds / 1e3,
        cpu_seconds / size * 1e9,
        size / read_seconds / 1e6,
        size / recover_seconds / 1e6,
        start_seconds,
    )


async def _append(path: Path, durability: Durability, load: Load) -> tuple[float, float, int, int]:
    """Seconds, CPU seconds, bytes, records."""
    template = bytes(_batch(load.batch_bytes))
    ((_, first),) = headers(template)
    turns = max(load.megabytes * 1_000_000 // (len(template) * IN_FLIGHT), 1)
    manager = await _manager(path)
    log = await _open(manager, 0, durability)
    durable = asyncio.Event()
    log.on_durable = lambda _: durable.set()
    began, cpu = time.perf_counter(), time.process_time()
    for _ in range(turns):
        for _ in range(IN_FLIGHT):
            view = memoryview(bytearray(template))
            log.append(view, headers(view), 0, now_ms=0)
        durable.clear()
        while log.durable_offset < log.log_end_offset:
            await durable.wait()
            durable.clear()
        await asyncio.sleep(0)
    log.write_pending()
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
    assert log.failed is None, log.failed
    size = log.size_bytes
    await manager.close()
    return seconds, cpu_seconds, size, turns * IN_FLIGHT * first.record_count


async def _read(path: Path, durability: Durability) -> float:
    manager = await _manager(path)
    log = await _open(manager, 0, durability)
    began = time.perf_counter()
    offset = 0
    while offset < log.log_end_offset:
        found = await log.read(offset, MIB, log.log_end_offset)
        assert found.next_offset > offset
        offset = found.next_offset
    seconds = time.perf_counter() - began
    await manager.close()
    return seconds


async def _recover(path: Path, durability: Durability) -> float:
    shutil.rmtree(path / INDEX_DIRECTORY)
    manager = await _manager(path)
    began = time.perf_counter()
    log = await _open(manager, 0, durability)
    seconds = time.perf_counter() - began
    assert log.damaged is None, log.damaged
    await manager.close()
    return seconds


async def _start(path: Path, durability: Durability, partitions: int) -> float:
    """With a batch in each partition, after a clean stop."""
    manager = await _manager(path)
    for partition in range(partitions):
        log = await _open(manager, partition, durability)
        view = memoryview(_batch(1_000))
        log.append(view, headers(view), 0, now_ms=0)
    await manager.close()
    began = time.perf_counter()
    manager = await _manager(path)
    for partition in range(partitions):
        await _open(manager, partition, durability)
    seconds = time.perf_counter() - began
    await manager.close()
    return seconds


async def _manager(path: Path) -> LogManager:
    manager = LogManager(RealRuntime(), str(path), SETTINGS)
    await manager.start()
    return manager


async def _open(manager: LogManager, partition: int, durability: Durability) -> Log:
    config = TopicConfig.of({"sprawl.durability": durability.value})
    return await manager.open(UUID(int=1), "bench", partition, config)


def _batch(size: int) -> bytearray:
    count = max(size // (RECORD_BYTES + 8), 1)
    return build_batch([Record(0, 1_700_000_000_000 + n, None, bytes(RECORD_BYTES)) for n in range(count)])


def as_table(found: dict[Durability, list[Figures]], load: Load, runs: int) -> Table:
    table = Table(
        title=f"One log, {load.megabytes} MB in batches of {load.batch_bytes} bytes, records of {RECORD_BYTES}",
        caption=f"medians of {runs} runs, least-most; the start is that of {load.partitions} partitions",
    )
    table.add_column("durability", no_wrap=True)
    start = f"start of\n{load.partitions} s"
    for title in ("append\nMB/s", "append\nk rec/s", "CPU\ns/GB", "read\nMB/s", "recover\nMB/s", start):
        table.add_column(title, justify="right")
    for durability, figures in found.items():
        columns = ([getattr(one, field.name) for one in figures] for field in fields(Figures))
        table.add_row(durability.value, *(_spread(values) for values in columns))
    return table


def _spread(values: list[float]) -> str:
    digits = 0 if statistics.median(values) >= 20 else 2
    middle, least, most = (f"{value:,.{digits}f}" for value in (statistics.median(values), min(values), max(values)))
    return f"{middle}\n{least}-{most}"


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:8}"),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )


@contextmanager
def _fresh(directory: Path | None) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="sprawl-storage-", dir=directory))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


if __name__ == "__main__":
    typer.run(main)
