"""Who is told of what the metadata quorum commits.

In: callbacks, conditions; then each step, and the images before and after. Out: the calls, in order, on the event loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from sprawl.quorum.history import Step
from sprawl.quorum.image import MetadataImage

log = logging.getLogger(__name__)

Subscriber = Callable[[MetadataImage, MetadataImage], None]


class Audience:
    def __init__(self) -> None:
        self._subscribers: list[Subscriber] = []
        self._witnesses: list[Callable[[Step], None]] = []
        self._awaited: list[tuple[Callable[[MetadataImage], bool], asyncio.Future[MetadataImage]]] = []

    def subscribe(self, callback: Subscriber) -> None:
        self._subscribers.append(callback)

    def witness(self, callback: Callable[[Step], None]) -> None:
        self._witnesses.append(callback)

    async def until(self, holds: Callable[[MetadataImage], bool]) -> MetadataImage:
        """The first image told from now on that `holds`."""
        reached: asyncio.Future[MetadataImage] = asyncio.get_running_loop().create_future()
        self._awaited.append((holds, reached))
        return await reached

    def tell_witnesses(self, step: Step) -> None:
        """Who only tells of it must not stop it: the same bug would stop every node, at the same batch."""
        for callback in self._witnesses:
            try:
                callback(step)
            except Exception:
                log.exception("what was committed at offset %d could not be told", step.batch.last_offset)

    def tell_subscribers(self, before: MetadataImage, after: MetadataImage) -> str:
        """All of them. Returns what went wrong with one, or "": that part of the node lags behind for good then."""
        broken = ""
        for subscriber in self._subscribers:
            try:
                subscriber(before, after)
            except Exception as problem:
                log.exception("part of this node cannot follow the metadata")
                broken = f"part of this node cannot follow the metadata: {problem}"
        return broken

    def tell_who_waits(self, after: MetadataImage) -> None:
        for holds, reached in self._awaited:
            if not reached.done() and holds(after):
                reached.set_result(after)
        self._awaited = [each for each in self._awaited if not each[1].done()]
