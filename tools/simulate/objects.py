"""An object store of the simulated world: a bucket in memory that all nodes share, and faults for any backend.

In: what nodes ask of a `Backend`, and `Faults`, to be changed at any moment. Out: what a real store does on a bad
day: 503, answers lost after the deed, deeds done after the asker gave up, bodies cut short or damaged, slowness,
deletes that never happen, lists of a while ago. All by the randomness of the node that asks: the same seed, the same
day.

    bucket, faults = Bucket(), Faults(unavailable=0.1)
    store = Store(Faulty(InMemory(bucket, runtime), faults, runtime), runtime)
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from crc32c import crc32c as checksum

from sprawl.objects.contract import ALWAYS, Backend, Condition, Listed, ObjectInfo, Page, Part, Upload
from sprawl.objects.errors import NotFound, PreconditionFailed, StoreUnavailable
from sprawl.runtime import Buffer, Runtime

R = TypeVar("R")

_FOR_EVER: Final = 1e6


@dataclass
class Bucket:
    """What is kept; it outlives every node."""

    objects: dict[str, tuple[bytes, ObjectInfo]] = field(default_factory=dict)
    uploads: dict[str, tuple[Upload, str, dict[int, bytes]]] = field(default_factory=dict)
    puts: int = 0

    def names(self) -> list[str]:
        return sorted(self.objects)

    def flip(self, key: str, offset: int, mask: int = 0x01) -> None:
        """Damage one byte where it lies."""
        data, info = self.objects[key]
        changed = bytearray(data)
        changed[offset] ^= mask
        self.objects[key] = (bytes(changed), info)


class InMemory:
    """A backend on a bucket, faultless."""

    parts_at_once: Final = 4
    url: Final = "memory://bucket"

    def __init__(self, bucket: Bucket, runtime: Runtime) -> None:
        self._bucket = bucket
        self._runtime = runtime

    async def put(self, key: str, data: Buffer, crc32c: int, condition: Condition, mark: str) -> ObjectInfo:
        return self._put(key, bytes(data), crc32c, condition, mark)

    async def get(self, key: str, start: int, size: int | None, etag: str | None) -> tuple[bytes, ObjectInfo]:
        data, info = self._find(key)
        if etag is not None and etag != info.etag:
            raise PreconditionFailed(f"{key} is another")
        return data[start : None if size is None else start + size], info

    async def head(self, key: str) -> ObjectInfo:
        return self._find(key)[1]

    async def list(self, prefix: str, after: str | None, limit: int) -> Page:
        keys = [key for key in self._bucket.names() if key.startswith(prefix) and key > (after or "")]
        found = tuple(listed(self._find(key)[1]) for key in keys[:limit])
        return Page(found, found[-1].key if len(keys) > limit else None)

    async def delete(self, key: str) -> None:
        self._bucket.objects.pop(key, None)

    async def delete_many(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._bucket.objects.pop(key, None)

    async def copy(self, source: str, target: str) -> ObjectInfo:
        data, info = self._find(source)
        return self._put(target, data, info.crc32c or checksum(data), ALWAYS, info.mark)

    async def begin_upload(self, key: str, mark: str) -> Upload:
        upload = Upload(key, self._runtime.token_bytes(8).hex(), self._runtime.clock.wall_ms())
        self._bucket.uploads[upload.id] = (upload, mark, {})
        return upload

    async def put_part(self, upload: Upload, number: int, offset: int, data: Buffer, crc32c: int) -> Part:
        self._upload(upload)[number] = bytes(data)
        return Part(number, len(data), str(number), crc32c)

    async def complete_upload(
        self, upload: Upload, parts: Sequence[Part], crc32c: int, condition: Condition, mark: str
    ) -> ObjectInfo:
        there = self._upload(upload)
        info = self._put(upload.key, b"".join(there[part.number] for part in parts), crc32c, condition, mark)
        del self._bucket.uploads[upload.id]
        return info

    async def abort_upload(self, upload: Upload) -> None:
        self._bucket.uploads.pop(upload.id, None)

    async def uploads(self, prefix: str) -> Sequence[Upload]:
        return [upload for upload, _, _ in self._bucket.uploads.values() if upload.key.startswith(prefix)]

    async def close(self) -> None:
        return None

    def _find(self, key: str) -> tuple[bytes, ObjectInfo]:
        try:
            return self._bucket.objects[key]
        except KeyError:
            raise NotFound(key) from None

    def _upload(self, upload: Upload) -> dict[int, bytes]:
        try:
            return self._bucket.uploads[upload.id][2]
        except KeyError:
            raise NotFound(f"upload of {upload.key}") from None

    def _put(self, key: str, data: bytes, crc32c: int, condition: Condition, mark: str) -> ObjectInfo:
        there = self._bucket.objects.get(key)
        if condition.if_absent and there is not None:
            raise PreconditionFailed(f"{key} is there already")
        if condition.if_match is not None and (there is None or there[1].etag != condition.if_match):
            raise PreconditionFailed(f"{key} is another")
        if checksum(data) != crc32c:
            raise StoreUnavailable(f"{key} was damaged on the way", outcome_unknown=False)
        self._bucket.puts += 1
        info = ObjectInfo(key, len(data), f"e{self._bucket.puts}", self._runtime.clock.wall_ms(), crc32c, mark)
        self._bucket.objects[key] = (data, info)
        return info


@dataclass
class Faults:
    """Chances, of each request unless said otherwise; all nodes may share one of these."""

    unavailable: float = 0.0
    """503: nothing was done."""
    lost_answers: float = 0.0
    """It was done, and the answer never comes."""
    late: float = 0.0
    """It is done once the asker has gone: for what changes something."""
    truncated: float = 0.0
    """Of each get."""
    flipped: float = 0.0
    """Of each get: one bit is another on the way."""
    lost_deletes: float = 0.0
    """Of each object to be deleted: the answer is yes, and it stays."""
    stale_lists: float = 0.0
    """Of each list: it is as the store was up to `stale_seconds` ago."""
    stale_seconds: float = 5.0
    latency: tuple[float, float] = (0.002, 0.03)
    slow: float = 0.0
    slow_seconds: float = 5.0
    down: bool = False
    """Nothing answers at all."""
    calm: frozenset[str] = frozenset()
    """Requests, by the names of `Backend`'s methods, that nothing befalls."""
    happened: dict[str, int] = field(default_factory=dict)
    """How often each fault struck."""
    recent: dict[str, tuple[float, Listed | None]] = field(default_factory=dict)
    """When each key changed lately, and what was there before; for stale lists."""

    def heal(self) -> None:
        self.unavailable = self.lost_answers = self.late = self.truncated = self.flipped = 0.0
        self.lost_deletes = self.stale_lists = self.slow = 0.0
        self.down = False


class Faulty:
    """Any backend, on a bad day."""

    def __init__(self, backend: Backend, faults: Faults, runtime: Runtime) -> None:
        self.parts_at_once = backend.parts_at_once
        self.url = backend.url
        self._backend = backend
        self._faults = faults
        self._runtime = runtime
        self._late: set[asyncio.Task[object]] = set()

    async def put(self, key: str, data: Buffer, crc32c: int, condition: Condition, mark: str) -> ObjectInfo:
        kept = bytes(data)
        return await self._change("put", key, lambda: self._backend.put(key, kept, crc32c, condition, mark))

    async def get(self, key: str, start: int, size: int | None, etag: str | None) -> tuple[bytes, ObjectInfo]:
        data, info = await self._ask("get", lambda: self._backend.get(key, start, size, etag))
        if data and self._strikes("truncated", "get"):
            data = data[: self._runtime.rng.randrange(len(data))]
        if data and self._strikes("flipped", "get"):
            at = self._runtime.rng.randrange(len(data))
            data = data[:at] + bytes([data[at] ^ 1 << self._runtime.rng.randrange(8)]) + data[at + 1 :]
        return data, info

    async def head(self, key: str) -> ObjectInfo:
        return await self._ask("head", lambda: self._backend.head(key))

    async def list(self, prefix: str, after: str | None, limit: int) -> Page:
        page = await self._ask("list", lambda: self._backend.list(prefix, after, limit))
        return self._as_it_was(page, prefix, after, limit) if self._strikes("stale_lists", "list") else page

    async def delete(self, key: str) -> None:
        if self._strikes("lost_deletes", "delete"):
            return await self._ask("delete", _nothing)
        return await self._change("delete", key, lambda: self._backend.delete(key))

    async def delete_many(self, keys: Sequence[str]) -> None:
        kept = [key for key in keys if not self._strikes("lost_deletes", "delete_many")]
        for key in kept:
            await self._remember(key)
        await self._ask("delete_many", lambda: self._backend.delete_many(kept), changes=True)

    async def copy(self, source: str, target: str) -> ObjectInfo:
        return await self._change("copy", target, lambda: self._backend.copy(source, target))

    async def begin_upload(self, key: str, mark: str) -> Upload:
        return await self._ask("begin_upload", lambda: self._backend.begin_upload(key, mark))

    async def put_part(self, upload: Upload, number: int, offset: int, data: Buffer, crc32c: int) -> Part:
        kept = bytes(data)
        return await self._ask("put_part", lambda: self._backend.put_part(upload, number, offset, kept, crc32c))

    async def complete_upload(
        self, upload: Upload, parts: Sequence[Part], crc32c: int, condition: Condition, mark: str
    ) -> ObjectInfo:
        return await self._change(
            "complete_upload",
            upload.key,
            lambda: self._backend.complete_upload(upload, parts, crc32c, condition, mark),
        )

    async def abort_upload(self, upload: Upload) -> None:
        await self._ask("abort_upload", lambda: self._backend.abort_upload(upload))

    async def uploads(self, prefix: str) -> Sequence[Upload]:
        return await self._ask("uploads", lambda: self._backend.uploads(prefix))

    async def close(self) -> None:
        for task in list(self._late):
            task.cancel()
        await self._backend.close()

    async def _change(self, name: str, key: str, act: Callable[[], Awaitable[R]]) -> R:
        await self._remember(key)
        return await self._ask(name, act, changes=True)

    async def _ask(self, name: str, act: Callable[[], Awaitable[R]], *, changes: bool = False) -> R:
        faults, rng = self._faults, self._runtime.rng
        if faults.down:
            await asyncio.sleep(_FOR_EVER)
        least, most = faults.latency
        await asyncio.sleep(least + rng.random() * (most - least))
        if self._strikes("slow", name):
            await asyncio.sleep(rng.random() * faults.slow_seconds)
        if self._strikes("unavailable", name):
            raise StoreUnavailable("503 SlowDown", outcome_unknown=False)
        if changes and self._strikes("late", name):
            task: asyncio.Task[object] = asyncio.ensure_future(self._do_late(act))
            self._late.add(task)
            task.add_done_callback(self._late.discard)
            raise StoreUnavailable("the connection broke")
        result = await act()
        if self._strikes("lost_answers", name):
            if rng.random() < 0.5:
                raise StoreUnavailable("the connection broke")
            await asyncio.sleep(_FOR_EVER)
        return result

    async def _do_late(self, act: Callable[[], Awaitable[object]]) -> None:
        await asyncio.sleep(self._runtime.rng.random() * self._faults.slow_seconds)
        try:
            await act()
        except (NotFound, PreconditionFailed, StoreUnavailable):
            return  # nobody is there to be told

    def _strikes(self, fault: str, name: str) -> bool:
        chance: float = getattr(self._faults, fault)
        if not chance or name in self._faults.calm or self._runtime.rng.random() >= chance:
            return False
        self._faults.happened[fault] = self._faults.happened.get(fault, 0) + 1
        return True

    async def _remember(self, key: str) -> None:
        if not self._faults.stale_lists:
            return
        now = self._runtime.clock.monotonic()
        earlier = self._faults.recent.get(key)
        if earlier is not None and now - earlier[0] < self._faults.stale_seconds:
            return
        try:
            before: Listed | None = listed(await self._backend.head(key))
        except NotFound:
            before = None
        self._faults.recent[key] = (now, before)

    def _as_it_was(self, page: Page, prefix: str, after: str | None, limit: int) -> Page:
        now = self._runtime.clock.monotonic()
        found = {one.key: one for one in page.objects}
        for key, (when, before) in sorted(self._faults.recent.items()):
            within = key.startswith(prefix) and key > (after or "") and (page.after is None or key <= page.after)
            if not within or now - when >= self._faults.stale_seconds:
                continue
            if before is None:
                found.pop(key, None)
            else:
                found[key] = before
        shown = tuple(found[key] for key in sorted(found))
        if len(shown) > limit:
            return Page(shown[:limit], shown[limit - 1].key)
        return Page(shown, page.after)


def listed(info: ObjectInfo) -> Listed:
    return Listed(info.key, info.size, info.modified_ms)


async def _nothing() -> None:
    return None
