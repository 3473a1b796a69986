"""Manifests and chunks of uploaded segments, fetched once for all who want them, and checked.

In: a segment, the numbers of chunks. Out: their bytes: from the cache, or by one ranged request for several in a row.
Bytes whose checksum is not the manifest's are never given out: they are fetched again, and then refused. Only so many
requests are under way at once; a caller who gives up waiting does not stop what was begun.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

from crc32c import crc32c

from sprawl.objects.contract import ObjectStore
from sprawl.objects.errors import Corrupt, StoreError
from sprawl.runtime import Runtime
from sprawl.tiers.cache import ChunkCache, Name
from sprawl.tiers.catalogs import Key
from sprawl.tiers.counters import TierCounters
from sprawl.tiers.manifest import BadSegment, Manifest
from sprawl.tiers.segments import LOG, MANIFEST, TierSegment, object_name

log = logging.getLogger(__name__)
R = TypeVar("R")

_AT_ONCE: Final = 8
_MANIFESTS: Final = 64
_DAMAGED_TRIES: Final = 3


class Fetching:
    def __init__(self, store: ObjectStore, cache: ChunkCache, runtime: Runtime, counters: TierCounters) -> None:
        self._store = store
        self._cache = cache
        self._runtime = runtime
        self._counters = counters
        self.on_read: Callable[[Key, TierSegment, int], None] | None = None
        """Told of what was read for clients: of which segment, how many bytes."""
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._manifests: OrderedDict[str, Manifest] = OrderedDict()
        self._loading: dict[str, asyncio.Task[Manifest]] = {}
        self._coming: dict[Name, asyncio.Future[bytes]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- manifests ------------------------------------------------------------------------------------------

    def manifest_now(self, key: Key, segment: TierSegment) -> Manifest | None:
        """None: it is being fetched."""
        found = self._manifests.get(segment.id)
        if found is None:
            self._load(key, segment)
        return found

    async def manifest(self, key: Key, segment: TierSegment) -> Manifest:
        """Raises `StoreError`, `BadSegment`."""
        found = self._manifests.get(segment.id)
        if found is not None:
            self._manifests.move_to_end(segment.id)
            return found
        return await asyncio.shield(self._load(key, segment))

    def _load(self, key: Key, segment: TierSegment) -> asyncio.Task[Manifest]:
        loading = self._loading.get(segment.id)
        if loading is None:
            loading = self._loading[segment.id] = self._spawn(self._fetch_manifest(key, segment))
            loading.add_done_callback(lambda _: self._loading.pop(segment.id, None))
        return loading

    async def _fetch_manifest(self, key: Key, segment: TierSegment) -> Manifest:
        name = object_name(*key, segment) + MANIFEST
        async with self._slots:
            self._counters.fetch_requests += 1
            raw = await self._store.get(name, crc32c=segment.manifest_crc32c)
        manifest = await self._runtime.in_thread(lambda: Manifest.parse(raw))
        if manifest.segment.id != segment.id:
            raise BadSegment(f"{name} speaks of the segment {manifest.segment.id}")
        self._manifests[segment.id] = manifest
        while len(self._manifests) > _MANIFESTS:
            self._manifests.popitem(last=False)
        return manifest

    # -- chunks ---------------------------------------------------------------------------------------------

    def has(self, segment: TierSegment, number: int) -> bool:
        """Whether it is here, or on its way."""
        name = (segment.id, number)
        return name in self._coming or self._cache.holds(name)

    async def chunk(self, key: Key, manifest: Manifest, number: int, ahead: int = 0) -> bytes:
        """And, if it must be fetched, `ahead` more behind it in the same request. Raises `StoreError`."""
        name = (manifest.segment.id, number)
        coming = self._coming.get(name)
        if coming is not None:
            return await asyncio.shield(coming)
        held = self._cache.get_now(name)
        if held is None:
            held = await self._cache.get(name)
            if held is not None and crc32c(held) != manifest.chunks[number].crc32c:
                log.warning("a cached chunk of %s is damaged; fetched anew", manifest.segment.id)
                await self._cache.drop(name)
                held = None
        if held is not None:
            self._counters.cache_hits += 1
            return held
        self._counters.cache_misses += 1
        self.ahead(key, manifest, number, 1 + ahead)
        return await asyncio.shield(self._coming[name])

    @property
    def busy(self) -> bool:
        """As many requests are under way as may be."""
        return self._slots.locked()

    async def bring(self, key: Key, manifest: Manifest, number: int) -> None:
        """Have a chunk in the cache, for later. Raises `StoreError`."""
        name = (manifest.segment.id, number)
        if not self._cache.on_disk(name) and name not in self._coming:
            self.ahead(key, manifest, number, 1)
        if name in self._coming:
            await asyncio.shield(self._coming[name])

    def ahead(self, key: Key, manifest: Manifest, first: int, count: int) -> None:
        """Have chunks fetched, by one request for as many in a row as are neither here nor coming."""
        wanted: list[int] = []
        for number in range(first, min(first + count, len(manifest.chunks))):
            if (manifest.segment.id, number) in self._coming or (wanted and self.has(manifest.segment, number)):
                break
            wanted.append(number)
        if not wanted:
            return
        for number in wanted:
            coming: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            coming.add_done_callback(_look_at)
            self._coming[(manifest.segment.id, number)] = coming
        self._spawn(self._fetch(key, manifest, wanted))

    async def _fetch(self, key: Key, manifest: Manifest, numbers: Sequence[int]) -> None:
        names = [(manifest.segment.id, number) for number in numbers]
        futures = [self._coming[name] for name in names]
        try:
            async with self._slots:
                pieces = await self._range(key, manifest, numbers)
            for future, piece in zip(futures, pieces, strict=True):
                if not future.done():
                    future.set_result(piece)
            for name, piece in zip(names, pieces, strict=True):
                await self._cache.put(name, piece)
        except Exception as problem:  # noqa: BLE001 - those who wait must hear of it, whatever it is
            self._counters.fetch_errors += 1
            for future in futures:
                if not future.done():
                    future.set_exception(problem)
        finally:
            for name, future in zip(names, futures, strict=True):
                future.cancel()
                self._coming.pop(name, None)

    async def _range(self, key: Key, manifest: Manifest, numbers: Sequence[int]) -> list[bytes]:
        """Raises `StoreError`."""
        name, size = object_name(*key, manifest.segment) + LOG, manifest.chunk_bytes
        start = numbers[0] * size
        end = min(start + len(numbers) * size, manifest.segment.size)
        for _ in range(_DAMAGED_TRIES):
            self._counters.fetch_requests += 1
            data = await self._store.get(name, start, end - start)
            self._counters.fetched_bytes += len(data)
            pieces = [data[at : at + size] for at in range(0, len(data), size)]
            sums = await self._runtime.in_thread(lambda pieces=pieces: [crc32c(piece) for piece in pieces])  # type: ignore[misc]
            if sums == [manifest.chunks[number].crc32c for number in numbers]:
                return pieces
            self._counters.damaged_chunks += 1
            log.error("%s, bytes %d to %d: not what was uploaded", name, start, end)
        raise Corrupt(
            f"{name} in {self._store.url} is damaged between byte {start} and {end}",
            "Its records are not served; restore the object from a copy of the bucket",
        )

    def _spawn(self, work: Coroutine[Any, Any, R]) -> asyncio.Task[R]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_look_at)
        return task


def _look_at(done: asyncio.Future[Any]) -> None:
    """Nobody may be waiting for it any more: its error is nobody's then."""
    if not done.cancelled():
        problem = done.exception()
        if problem is not None and not isinstance(problem, StoreError | BadSegment):
            log.error("fetching from the tier: %r", problem)
