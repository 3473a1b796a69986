"""Parts of an upload: cut from a stream, sent several at a time, in bounded memory.

In: buffers of any size. Out: parts of equal size (the last may be smaller), and the checksum of all. Never more parts
in memory than the semaphore lets.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from typing import Final, Protocol

from crc32c import crc32c as checksum

from sprawl.objects.contract import Backend, Part, Upload
from sprawl.objects.errors import Unsupported
from sprawl.runtime import Buffer

MOST_PARTS: Final = 10_000
"""S3's limit."""


class Send(Protocol):
    def __call__(self, what: str, attempt: Callable[[], Awaitable[Part]], /) -> Awaitable[Part]: ...


async def take(source: AsyncIterable[Buffer], size: int) -> AsyncGenerator[bytes, None]:
    """The same bytes in pieces of `size`, the last one smaller or absent."""
    gathered = bytearray()
    async for buffer in source:
        await asyncio.sleep(0)  # a source that never waits must not keep all others waiting
        if not gathered and len(buffer) == size and isinstance(buffer, bytes):
            yield buffer
            continue
        view = memoryview(buffer).cast("B")
        at = 0
        while at < len(view):
            wanted = view[at : at + size - len(gathered)]
            gathered += wanted
            at += len(wanted)
            if len(gathered) == size:
                yield bytes(gathered)
                gathered.clear()
    if gathered:
        yield bytes(gathered)


async def send_parts(
    backend: Backend,
    upload: Upload,
    first: bytes,
    rest: AsyncGenerator[bytes, None],
    memory: asyncio.Semaphore,
    send: Send,
) -> tuple[list[Part], int]:
    """All parts in order, and the checksum of the whole."""
    at_once = asyncio.Semaphore(backend.parts_at_once)
    sent: list[asyncio.Task[Part]] = []
    offset = total = 0

    def done(_: asyncio.Task[Part]) -> None:
        at_once.release()
        memory.release()

    async def send_one(number: int, offset: int, data: bytes) -> Part:
        own = checksum(data)
        return await send(
            f"putting part {number} of {upload.key}", lambda: backend.put_part(upload, number, offset, data, own)
        )

    try:
        async with asyncio.TaskGroup() as group:
            piece: bytes | None = first
            while True:
                await at_once.acquire()
                await memory.acquire()
                try:
                    if sent:
                        piece = await anext(rest, None)
                    if piece is None:
                        break
                    if len(sent) == MOST_PARTS:
                        raise Unsupported(
                            f"{upload.key} has more than {MOST_PARTS} parts of {len(first)} bytes",
                            "Make segments smaller (segment.bytes)",
                        )
                    total = checksum(piece, total)
                    task = group.create_task(send_one(len(sent) + 1, offset, piece))
                    task.add_done_callback(done)
                except BaseException:
                    memory.release()
                    raise
                sent.append(task)
                offset += len(piece)
            memory.release()
    except BaseExceptionGroup as failed:
        raise _first(failed) from None
    return [task.result() for task in sent], total


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
