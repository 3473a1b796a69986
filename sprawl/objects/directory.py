"""A directory as object store: the embedded default, with the same contract as S3.

In: puts, gets, lists. Out: an object `a/b/c` is the file `a/b/c` below the root, its bytes with a trailer behind them.
It is written beside, synced, and renamed into place under a lock that all processes on this directory share: so a put
is there whole or not at all, and conditions hold among them all. Where S3 has no directories, this has: an object `a`
and an object `a/b` cannot both be. Empty directories stay. All that may block is done in threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import posixpath
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from crc32c import crc32c as checksum

from sprawl.objects.contract import ALWAYS, Condition, Listed, ObjectInfo, Page, Part, Upload
from sprawl.objects.directory_errors import told
from sprawl.objects.errors import Corrupt, InvalidKey, NotFound, PreconditionFailed
from sprawl.objects.trailer import TRAILER_BYTES, Trailer
from sprawl.runtime import Buffer, File, Runtime

R = TypeVar("R")

_DRAFTS: Final = ".drafts"
_LOCKS: Final = ".locks"
_STRIPES: Final = 64
_PIECE: Final = 1024 * 1024
_LOCK_PAUSE: Final = 0.01


class Directory:
    parts_at_once: Final = 1
    """A part is appended where the one before it ended."""

    def __init__(self, root: str, runtime: Runtime) -> None:
        self._root = root.rstrip("/") or "/"
        self._runtime = runtime
        self._files = runtime.files
        self._seen = False
        self._locks = [asyncio.Lock() for _ in range(_STRIPES)]

    @property
    def url(self) -> str:
        return f"file://{self._root}"

    async def put(self, key: str, data: Buffer, crc32c: int, condition: Condition, mark: str) -> ObjectInfo:
        upload = await self.begin_upload(key, mark)
        try:
            part = await self.put_part(upload, 1, 0, data, crc32c)
            return await self.complete_upload(upload, [part], crc32c, condition, mark)
        except BaseException:
            await self.abort_upload(upload)
            raise

    async def get(self, key: str, start: int, size: int | None, etag: str | None) -> tuple[bytes, ObjectInfo]:
        with told(self.url, key):
            file = await self._open(key)
            try:
                info = await self._info(key, file)
                if etag is not None and etag != info.etag:
                    raise PreconditionFailed(f"{key} in {self.url} is not what it was", "Look it up again")
                left = max(0, info.size - start)
                return await self._read(file, start, left if size is None else min(size, left)), info
            finally:
                file.close()

    async def head(self, key: str) -> ObjectInfo:
        with told(self.url, key):
            file = await self._open(key)
            try:
                return await self._info(key, file)
            finally:
                file.close()

    async def list(self, prefix: str, after: str | None, limit: int) -> Page:
        def walk() -> Page:
            found: list[Listed] = []
            self._make_root()
            for key in self._keys("", prefix, after or ""):
                if len(found) == limit:
                    return Page(tuple(found), found[-1].key)
                try:
                    file = self._files.open(self._path(key))
                except FileNotFoundError:
                    continue  # deleted since
                found.append(Listed(key, max(0, file.size - TRAILER_BYTES), self._files.modified_ms(file.path)))
                file.close()
            return Page(tuple(found), None)

        with told(self.url, prefix):
            return await self._runtime.in_thread(walk)

    async def delete(self, key: str) -> None:
        def remove() -> None:
            try:
                self._files.remove(self._path(key))
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return
            self._files.sync_dir(posixpath.dirname(self._path(key)))

        await self._changing(key, remove)

    async def delete_many(self, keys: Sequence[str]) -> None:
        for key in keys:
            await self.delete(key)

    async def copy(self, source: str, target: str) -> ObjectInfo:
        with told(self.url, source):
            file = await self._open(source)
            try:
                info = await self._info(source, file)
                mark = self._runtime.token_bytes(16).hex()
                upload = await self.begin_upload(target, mark)
                parts: list[Part] = []
                total = 0
                try:
                    for at in range(0, info.size, _PIECE):
                        data = bytes(await file.read(at, min(_PIECE, info.size - at)))
                        total = checksum(data, total)
                        parts.append(await self.put_part(upload, len(parts) + 1, at, data, checksum(data)))
                    if total != info.crc32c:
                        raise Corrupt(f"{source} in {self.url} is damaged", "Repair it before it is copied")
                    return await self.complete_upload(upload, parts, total, ALWAYS, mark)
                except BaseException:
                    await self.abort_upload(upload)
                    raise
            finally:
                file.close()

    async def begin_upload(self, key: str, mark: str) -> Upload:
        upload = Upload(key, self._runtime.token_bytes(8).hex(), self._runtime.clock.wall_ms())

        def create() -> None:
            self._make_root()
            self._files.make_dirs(posixpath.dirname(self._draft(upload)))
            self._files.open(self._draft(upload), create=True).close()

        with told(self.url, key):
            await self._runtime.in_thread(create)
        return upload

    async def put_part(self, upload: Upload, number: int, offset: int, data: Buffer, crc32c: int) -> Part:
        def write() -> None:
            file = self._files.open(self._draft(upload))
            try:
                file.truncate(offset)
                file.append([data])
            finally:
                file.close()

        with told(self.url, upload.key):
            await self._runtime.in_thread(write)
        return Part(number, len(data), "", crc32c)

    async def complete_upload(
        self, upload: Upload, parts: Sequence[Part], crc32c: int, condition: Condition, mark: str
    ) -> ObjectInfo:
        key, path = upload.key, self._path(upload.key)
        size = sum(part.size for part in parts)
        with told(self.url, key):
            file = await self._runtime.in_thread(lambda: self._files.open(self._draft(upload)))
            try:
                file.truncate(size)
                file.append([Trailer(size, mark, crc32c).pack()])
                try:
                    await file.sync()
                except OSError:
                    await self.abort_upload(upload)  # what a sync lost, the next one does not bring back
                    raise
            finally:
                file.close()

        def publish() -> ObjectInfo:
            self._make_dirs(posixpath.dirname(path), key)
            if condition.is_set:
                self._check(key, condition)
            self._files.rename(self._draft(upload), path)
            try:
                self._files.sync_dir(posixpath.dirname(path))
            except OSError:
                if condition.if_absent:  # not to be taken for one that is there for good
                    self._files.remove(path)
                raise
            self._files.remove_tree(f"{self._root}/{_DRAFTS}/{upload.id}")
            return ObjectInfo(key, size, mark, self._files.modified_ms(path), crc32c, mark)

        return await self._changing(key, publish)

    async def abort_upload(self, upload: Upload) -> None:
        def remove() -> None:
            with contextlib.suppress(FileNotFoundError):
                self._files.remove_tree(f"{self._root}/{_DRAFTS}/{upload.id}")

        with told(self.url, upload.key):
            await self._runtime.in_thread(remove)

    async def uploads(self, prefix: str) -> Sequence[Upload]:
        def find() -> list[Upload]:
            found: list[Upload] = []
            if not self._files.exists(f"{self._root}/{_DRAFTS}"):
                return found
            for identity in self._files.list(f"{self._root}/{_DRAFTS}"):
                beginning = f"{_DRAFTS}/{identity}/"
                for name in self._keys(beginning, "", ""):
                    key = name.removeprefix(beginning)
                    if key.startswith(prefix):
                        found.append(Upload(key, identity, self._files.modified_ms(self._path(name))))
            return found

        with told(self.url, prefix):
            return await self._runtime.in_thread(find)

    async def close(self) -> None:
        return None

    async def _open(self, key: str) -> File:
        def find() -> File:
            self._make_root()
            return self._files.open(self._path(key))

        try:
            return await self._runtime.in_thread(find)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            if not self._files.exists(self._root):
                raise
            raise NotFound(f"{key} in {self.url}") from None

    async def _read(self, file: File, start: int, size: int) -> bytes:
        """Piece by piece: others get their turn between."""
        pieces = []
        for at in range(start, start + size, _PIECE):
            pieces.append(await file.read(at, min(_PIECE, start + size - at)))
            await asyncio.sleep(0)
        return b"".join(pieces)

    async def _info(self, key: str, file: File) -> ObjectInfo:
        raw = await file.read(max(0, file.size - TRAILER_BYTES), TRAILER_BYTES)
        trailer = Trailer.parse(raw, file.size)
        if trailer is None:
            raise Corrupt(
                f"{key} in {self.url} does not end as the objects of this store do",
                "It was cut short or damaged: repair it from a replica or the second region; what was copied here by "
                "other means must be put through the store",
            )
        return ObjectInfo(
            key, trailer.size, trailer.mark, self._files.modified_ms(file.path), trailer.crc32c, trailer.mark
        )

    async def _changing(self, key: str, change: Callable[[], R]) -> R:
        """Do it while nobody else, in this process or another, changes this object."""
        stripe = checksum(key.encode()) % _STRIPES

        def locked() -> R | None:
            self._make_root()
            self._files.make_dirs(f"{self._root}/{_LOCKS}")
            try:
                release = self._files.lock(f"{self._root}/{_LOCKS}/{stripe:02d}")
            except BlockingIOError:
                return None
            try:
                done.append(change())
            finally:
                release()
            return None

        done: list[R] = []
        with told(self.url, key):
            async with self._locks[stripe]:
                while True:
                    await self._runtime.in_thread(locked)
                    if done:
                        return done[0]
                    await asyncio.sleep(_LOCK_PAUSE * (0.5 + self._runtime.rng.random()))

    def _check(self, key: str, condition: Condition) -> None:
        """Called in a thread, under the lock."""
        path = self._path(key)
        there = self._files.exists(path)
        if condition.if_absent and there:
            raise PreconditionFailed(
                f"{key} is in {self.url} already", "Another put was first: take its object, or choose another name"
            )
        if condition.if_match is None:
            return
        etag = ""
        if there:
            raw = self._files.read_bytes(path)
            trailer = Trailer.parse(raw[-TRAILER_BYTES:], len(raw))
            etag = trailer.mark if trailer is not None else ""
        if etag != condition.if_match:
            raise PreconditionFailed(
                f"{key} in {self.url} was changed or deleted since", "Read it again and decide anew"
            )

    def _keys(self, directory: str, prefix: str, after: str) -> Iterator[str]:
        """Keys below `directory` (empty, or ending in a slash), in the order of their bytes."""
        try:
            names = self._files.list(f"{self._root}/{directory}")
        except FileNotFoundError:
            return
        names = [name for name in names if not name.startswith(".")]
        # A directory stands where its objects' names stand: `a-` before `a/x`, which is before `a0`.
        entries: list[str] = []
        for name in names:
            key = directory + name
            below = key + "/"
            elsewhere = not below.startswith(prefix) and not prefix.startswith(below)
            if elsewhere or (below < after and not after.startswith(below)):
                continue
            entries.append(below if self._is_directory(key) else key)
        for entry in sorted(entries):
            if entry.endswith("/"):
                yield from self._keys(entry, prefix, after)
            elif entry.startswith(prefix) and entry > after:
                yield entry

    def _is_directory(self, key: str) -> bool:
        try:
            self._files.list(self._path(key))
        except (NotADirectoryError, FileNotFoundError):
            return False
        return True

    def _make_dirs(self, path: str, key: str) -> None:
        """And make their names durable."""
        if self._files.exists(path):
            return
        parent = posixpath.dirname(path)
        self._make_dirs(parent, key)
        try:
            self._files.make_dirs(path)
        except (FileExistsError, NotADirectoryError):
            raise InvalidKey(
                f"{key} cannot be put into {self.url}: a part of its name is an object there", "Choose another name"
            ) from None
        self._files.sync_dir(parent)

    def _make_root(self) -> None:
        """The store's own directory only: a missing parent is a disk that was not mounted, or a slip of the pen."""
        if self._files.exists(self._root):
            self._seen = True
            return
        parent = posixpath.dirname(self._root)
        if self._seen or not self._files.exists(parent):
            raise FileNotFoundError(errno.ENOENT, "missing", self._root if self._seen else parent)
        self._files.make_dirs(self._root)
        self._files.sync_dir(parent)

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

    def _draft(self, upload: Upload) -> str:
        return f"{self._root}/{_DRAFTS}/{upload.id}/{upload.key}"
