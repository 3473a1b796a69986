"""The object store as the tier sees it: any backend, made patient and bounded.

In: calls of `ObjectStore`. Out: results, or errors that waiting would not cure. Each request is tried again after a
pause of random length until its deadline; at most so many are under way at once, and so many parts in memory. A
conditional put whose outcome was lost is settled by the mark it left: a put that succeeded unseen is never reported
as beaten by another. Never more than a deadline's wait, never bytes whose checksum is wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from crc32c import crc32c as checksum

from sprawl.objects.contract import Backend, Condition, ObjectInfo, Page, Upload, check_key, check_prefix
from sprawl.objects.errors import Corrupt, NotFound, PreconditionFailed, StoreError, StoreUnavailable
from sprawl.objects.uploading import send_parts, take
from sprawl.runtime import Buffer, Runtime

R = TypeVar("R")

MIB: Final = 1024 * 1024
DELETED_AT_ONCE: Final = 1000
"""What S3 takes in one request."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Seconds, and limits."""

    deadline: float = 60.0
    """For one request with all its tries; an upload makes many requests."""
    attempt: float = 20.0
    patience: float = 5.0
    """Copies and completions take so many times longer: the store moves all of an object's bytes."""
    least_pause: float = 0.1
    most_pause: float = 5.0
    requests_at_once: int = 16
    part_bytes: int = 8 * MIB
    parts_in_memory: int = 8
    """Of all uploads together."""
    damaged_tries: int = 3
    """Bytes that arrive damaged so often in a row are damaged where they lie."""


class Store:
    def __init__(self, backend: Backend, runtime: Runtime, policy: Policy | None = None) -> None:
        self.policy = policy or Policy()
        self.retries = 0
        self._backend = backend
        self._runtime = runtime
        self._requests = asyncio.Semaphore(self.policy.requests_at_once)
        self._parts = asyncio.Semaphore(self.policy.parts_in_memory)

    @property
    def url(self) -> str:
        return self._backend.url

    async def put(
        self,
        key: str,
        data: Buffer,
        *,
        crc32c: int | None = None,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> ObjectInfo:
        check_key(key)
        condition = Condition(if_absent, if_match)
        actual = checksum(data)
        if crc32c is not None and crc32c != actual:
            raise self._damaged_source(key, crc32c, actual)
        mark = self._new_mark()
        return await self._try(
            f"putting {key}",
            lambda: self._backend.put(key, data, actual, condition, mark),
            settle=lambda: self._marked(key, mark),
        )

    async def put_stream(
        self,
        key: str,
        source: AsyncIterable[Buffer],
        *,
        crc32c: int | None = None,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> ObjectInfo:
        check_key(key)
        condition = Condition(if_absent, if_match)
        pieces = take(source, self.policy.part_bytes)
        try:
            async with self._parts:
                first = await anext(pieces, b"")
                if len(first) < self.policy.part_bytes:
                    return await self.put(key, first, crc32c=crc32c, if_absent=if_absent, if_match=if_match)
            mark = self._new_mark()
            upload = await self._try(f"beginning {key}", lambda: self._backend.begin_upload(key, mark))
            try:
                parts, actual = await send_parts(
                    self._backend, upload, first, pieces, self._parts, lambda what, send: self._try(what, send)
                )
                if crc32c is not None and crc32c != actual:
                    raise self._damaged_source(key, crc32c, actual)
                info = await self._try(
                    f"completing {key}",
                    lambda: self._backend.complete_upload(upload, parts, actual, condition, mark),
                    settle=lambda: self._marked(key, mark),
                    patience=self.policy.patience,
                )
            except NotFound as error:
                raise StoreUnavailable(
                    f"the upload of {key} to {self.url} was gone before it was complete", "Put it again"
                ) from error
            except BaseException:
                await self._give_up(upload)
                raise
        finally:
            await pieces.aclose()
        if info.crc32c not in (None, actual):
            raise Corrupt(f"{self.url} holds other bytes of {key} than it was sent", "Put the object again")
        return info

    async def get(
        self,
        key: str,
        start: int = 0,
        size: int | None = None,
        *,
        crc32c: int | None = None,
        etag: str | None = None,
    ) -> bytes:
        check_key(key)
        if start < 0 or (size is not None and size < 0):
            raise ValueError(f"no range: {size} bytes from {start}")
        if size == 0:
            return b""

        async def attempt() -> bytes:
            data, info = await self._backend.get(key, start, size, etag)
            left = max(0, info.size - start)
            expected = left if size is None else min(size, left)
            if len(data) != expected:
                raise StoreUnavailable(f"{len(data)} bytes came of {key}, not {expected}", outcome_unknown=False)
            wanted = crc32c
            if wanted is None and len(data) == info.size:
                wanted = info.crc32c
            if wanted is not None and checksum(data) != wanted:
                raise Corrupt(
                    f"the bytes of {key} in {self.url} are not those that were put (CRC-32C {checksum(data):08x}, "
                    f"{wanted:08x} expected)",
                    "Repair it from a replica or the second region; `sprawl-admin tier verify` lists what else is bad",
                )
            return data

        return await self._try(f"reading {key}", attempt)

    async def head(self, key: str) -> ObjectInfo:
        check_key(key)
        return await self._try(f"looking up {key}", lambda: self._backend.head(key))

    async def list(self, prefix: str = "", *, after: str | None = None, limit: int = 1000) -> Page:
        check_prefix(prefix)
        if not 1 <= limit <= 1000:
            raise ValueError(f"a page has 1 to 1000 objects, not {limit}")
        return await self._try(f"listing {prefix or 'all objects'}", lambda: self._backend.list(prefix, after, limit))

    async def delete(self, key: str) -> None:
        check_key(key)
        await self._try(f"deleting {key}", lambda: self._backend.delete(key))

    async def delete_many(self, keys: Sequence[str]) -> None:
        for key in keys:
            check_key(key)
        for at in range(0, len(keys), DELETED_AT_ONCE):
            some = keys[at : at + DELETED_AT_ONCE]
            await self._try(f"deleting {len(some)} objects", partial(self._backend.delete_many, some))

    async def copy(self, source: str, target: str) -> ObjectInfo:
        check_key(source)
        check_key(target)
        return await self._try(
            f"copying {source} to {target}",
            lambda: self._backend.copy(source, target),
            patience=self.policy.patience,
        )

    async def uploads(self, prefix: str = "") -> Sequence[Upload]:
        check_prefix(prefix)
        return await self._try("listing unfinished uploads", lambda: self._backend.uploads(prefix))

    async def abort_upload(self, upload: Upload) -> None:
        await self._try(f"giving up {upload.key}", lambda: self._backend.abort_upload(upload))

    async def close(self) -> None:
        await self._backend.close()

    async def _try(
        self,
        what: str,
        attempt: Callable[[], Awaitable[R]],
        settle: Callable[[], Awaitable[R | None]] | None = None,
        patience: float = 1.0,
    ) -> R:
        """`settle` finds the result of an earlier try that seemed to fail, if it did not."""
        policy, clock = self.policy, self._runtime.clock
        deadline = policy.deadline * patience
        end = clock.monotonic() + deadline
        tries = damaged = 0
        lost_answer = False
        while True:
            error: StoreError
            try:
                async with asyncio.timeout(end - clock.monotonic()), self._requests:
                    async with asyncio.timeout(policy.attempt * patience):
                        return await attempt()
            except StoreUnavailable as unavailable:
                error = unavailable
                lost_answer = lost_answer or unavailable.outcome_unknown
            except TimeoutError:
                error = StoreUnavailable("it did not answer in time")
                lost_answer = True
            except Corrupt as corrupt:
                damaged += 1
                if damaged >= policy.damaged_tries:
                    raise
                error = corrupt
            except (PreconditionFailed, NotFound):
                done = await self._try(what, settle) if lost_answer and settle is not None else None
                if done is None:
                    raise
                return done
            tries += 1
            pause = self._runtime.rng.random() * min(policy.most_pause, policy.least_pause * 2.0 ** min(tries, 30))
            if clock.monotonic() + pause >= end:
                if isinstance(error, Corrupt):
                    raise error
                raise StoreUnavailable(
                    f"{what} in {self.url} failed {tries} times in {deadline:g} s, lastly so: {error.what}",
                    error.do or "See that the store runs and can be reached from here; it is tried again later",
                    outcome_unknown=lost_answer,
                ) from error
            self.retries += 1
            await asyncio.sleep(pause)

    async def _marked(self, key: str, mark: str) -> ObjectInfo | None:
        try:
            info = await self._backend.head(key)
        except NotFound:
            return None
        return info if info.mark == mark else None

    async def _give_up(self, upload: Upload) -> None:
        """Best effort: what stays behind is in `uploads` until somebody collects it."""
        try:
            async with asyncio.timeout(self.policy.attempt):
                await self.abort_upload(upload)
        except (StoreError, TimeoutError):
            pass

    def _new_mark(self) -> str:
        return self._runtime.token_bytes(16).hex()

    def _damaged_source(self, key: str, wanted: int, actual: int) -> Corrupt:
        return Corrupt(
            f"what was to be put as {key} has the CRC-32C {actual:08x}, not {wanted:08x}",
            "It was damaged before it got here: nothing was put. Look at this machine's disk and memory",
        )
