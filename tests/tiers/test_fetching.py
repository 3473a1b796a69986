"""Chunks of uploaded segments: fetched once, checked, fetched ahead for those who read on."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path

import pytest
from crc32c import crc32c

from sprawl.objects.errors import Corrupt
from sprawl.objects.store import Policy, Store
from sprawl.partitions.cold import ColdRecords
from sprawl.runtime.real import RealRuntime
from sprawl.tiers.cache import ChunkCache
from sprawl.tiers.catalogs import Catalogs
from sprawl.tiers.counters import TierCounters
from sprawl.tiers.fetching import Fetching
from sprawl.tiers.manifest import Manifest
from sprawl.tiers.reading import Patience, Readers, TieredRecords
from sprawl.tiers.segments import LOG, MANIFEST, TierSegment, object_name
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.records import headers
from tests.tiers.test_catalog import TOPIC, record
from tests.tiers.test_manifest import CHUNK, batches, built
from tools.simulate.objects import Bucket, Faults, Faulty, InMemory

KEY = (TOPIC, 0)


class Tier:
    """One uploaded segment of twenty batches of some 500 bytes, in chunks of 1000."""

    def __init__(self, path: Path) -> None:
        self.runtime = RealRuntime()
        self.bucket, self.faults = Bucket(), Faults(latency=(0.0, 0.0))
        backend = Faulty(InMemory(self.bucket, self.runtime), self.faults, self.runtime)
        self.store = Store(backend, self.runtime, Policy(deadline=10.0, attempt=5.0, least_pause=0.001))
        self.cache = ChunkCache(self.runtime, str(path / "cache"), 1 << 20, in_memory=0)
        self.counters = TierCounters()
        self.fetching = Fetching(self.store, self.cache, self.runtime, self.counters)
        self.catalogs = Catalogs()
        self.parts = batches([500 + n for n in range(20)])
        self.data = b"".join(self.parts)
        self.manifest: Manifest = built(self.data, 100, 120)
        self.name = object_name(*KEY, self.manifest.segment)

    async def start(self) -> None:
        await self.cache.start()
        await self.store.put(self.name + LOG, self.data)
        await self.store.put(self.name + MANIFEST, self.manifest.pack())
        for kind in ("copy-started", "copy-finished"):
            self.catalogs.apply(record(kind, self.finished))

    @property
    def finished(self) -> TierSegment:
        return replace(self.manifest.segment, manifest_crc32c=crc32c(self.manifest.pack()))

    def records(self, patience: float = 5.0) -> ColdRecords:
        return TieredRecords(KEY, self.catalogs, self.fetching, Readers(), Patience(patience, 5.0))


Story = Callable[[Tier], Coroutine[None, None, None]]


async def told(path: Path, story: Story) -> None:
    tier = Tier(path)
    await tier.start()
    try:
        await story(tier)
    finally:
        await tier.fetching.stop()


async def test_a_chunk_that_is_damaged_where_it_lies_is_not_given_out_and_the_others_are(tmp_path: Path) -> None:
    async def story(tier: Tier) -> None:
        tier.bucket.flip(tier.name + LOG, 3 * CHUNK + 1)
        assert await tier.fetching.chunk(KEY, tier.manifest, 2) == tier.data[2 * CHUNK : 3 * CHUNK]
        with pytest.raises(Corrupt):
            await tier.fetching.chunk(KEY, tier.manifest, 3)
        assert await tier.fetching.chunk(KEY, tier.manifest, 4) == tier.data[4 * CHUNK : 5 * CHUNK]
        assert tier.counters.damaged_chunks == 3

    await told(tmp_path, story)


async def test_what_is_damaged_on_its_way_is_fetched_again(tmp_path: Path) -> None:
    async def story(tier: Tier) -> None:
        tier.faults.flipped = 0.3
        for number in range(len(tier.manifest.chunks)):
            try:
                found = await tier.fetching.chunk(KEY, tier.manifest, number)
            except Corrupt:
                continue  # three times in a row
            assert found == tier.data[number * CHUNK : (number + 1) * CHUNK]
        assert tier.counters.damaged_chunks > 0

    await told(tmp_path, story)


async def test_a_chunk_that_is_damaged_in_the_cache_is_fetched_anew(tmp_path: Path) -> None:
    async def story(tier: Tier) -> None:
        await tier.fetching.chunk(KEY, tier.manifest, 1)
        cached = tmp_path / "cache" / f"{tier.manifest.segment.id}.1"
        async with asyncio.timeout(10):
            while not cached.exists() or cached.stat().st_size < CHUNK:
                await asyncio.sleep(0.01)
        cached.write_bytes(b"x" * CHUNK)
        async with asyncio.timeout(10):
            while tier.counters.fetch_requests < 2:  # until the first fetch has closed its file, it is who answers
                assert await tier.fetching.chunk(KEY, tier.manifest, 1) == tier.data[CHUNK : 2 * CHUNK]
                await asyncio.sleep(0.01)

    await told(tmp_path, story)


async def test_many_who_want_the_same_chunk_make_one_request(tmp_path: Path) -> None:
    async def story(tier: Tier) -> None:
        found = await asyncio.gather(*(tier.fetching.chunk(KEY, tier.manifest, 5) for _ in range(10)))
        assert set(found) == {tier.data[5 * CHUNK : 6 * CHUNK]}
        assert tier.counters.fetch_requests == 1

    await told(tmp_path, story)


@pytest.mark.parametrize("max_bytes", [1, 700, 2_500, 100_000])
async def test_reading_on_gives_every_batch_once(tmp_path: Path, max_bytes: int) -> None:
    async def story(tier: Tier) -> None:
        cold, offset, found = tier.records(), 100, b""
        while offset < 120:
            read = await cold.read(offset, max_bytes, 120, minimum_one=True)
            assert read.next_offset > offset
            assert read.size <= max(max_bytes, 700)
            found += b"".join(read.buffers)
            offset = read.next_offset
        assert found == tier.data
        assert tier.counters.fetch_requests < len(tier.manifest.chunks), "several chunks come by one request"

    await told(tmp_path, story)


async def test_any_offset_can_be_read_first_and_nothing_beyond_the_limit(tmp_path: Path) -> None:
    async def story(tier: Tier) -> None:
        cold, rng = tier.records(), random.Random(3)
        for _ in range(50):
            offset, until = sorted(rng.sample(range(100, 121), 2))
            read = await cold.read(offset, 1_500, until, minimum_one=True)
            starts = [header.base_offset for buffer in read.buffers for _, header in headers(buffer)]
            assert starts == list(range(offset, read.next_offset))
            assert read.next_offset <= until
        small = await cold.read(100, 10, 120, minimum_one=False)
        assert (small.size, small.next_offset) == (0, 100)
        with pytest.raises(ApiError):
            await cold.read(120, 100, 130, minimum_one=True)

    await told(tmp_path, story)


async def test_a_read_waits_only_so_long_and_finds_it_the_next_time(tmp_path: Path) -> None:
    async def story(tier: Tier) -> None:
        cold = tier.records(patience=0.05)
        tier.faults.latency = (0.3, 0.3)
        first = await cold.read(100, 1_000, 120, minimum_one=True)
        assert (first.size, first.next_offset) == (0, 100)
        async with asyncio.timeout(30):
            while not (read := await cold.read(100, 1_000, 120, minimum_one=True)).size:
                await asyncio.sleep(0.05)
        assert b"".join(read.buffers) == tier.parts[0]

    await told(tmp_path, story)


async def test_what_is_missing_is_an_error_that_clients_try_again_after(tmp_path: Path) -> None:
    async def story(tier: Tier) -> None:
        del tier.bucket.objects[tier.name + LOG]
        with pytest.raises(ApiError) as missing:
            await tier.records().read(100, 1_000, 120, minimum_one=True)
        assert missing.value.code is ErrorCode.KAFKA_STORAGE_ERROR
        assert tier.counters.fetch_errors == 1

    await told(tmp_path, story)
