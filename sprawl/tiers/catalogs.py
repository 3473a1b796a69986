"""What the tier holds of all partitions, as far as this node has read `__sprawl_tier`.

In: the topic's records, in order. Out: a `Catalog` for each partition; word to those who wait for a record of theirs to
take effect, and to those who want to know that a partition's catalog has changed. No I/O.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from uuid import UUID

from sprawl.tiers.catalog import Catalog
from sprawl.tiers.records import TierRecord

log = logging.getLogger(__name__)

Key = tuple[UUID, int]
"""Topic and partition."""


class Catalogs:
    def __init__(self) -> None:
        self.refused = 0
        """Records that were void when they came."""
        self._catalogs: dict[Key, Catalog] = {}
        self._waiting: dict[str, asyncio.Future[str | None]] = {}
        self._listeners: list[Callable[[Key], None]] = []

    def __getitem__(self, key: Key) -> Catalog:
        """An empty one where nothing is known."""
        found = self._catalogs.get(key)
        return Catalog() if found is None else found

    def keys(self) -> list[Key]:
        return list(self._catalogs)

    def when_changed(self, listener: Callable[[Key], None]) -> None:
        self._listeners.append(listener)

    def apply(self, record: TierRecord) -> None:
        key = (record.topic_id, record.partition)
        catalog = self._catalogs.get(key)
        if catalog is None:
            catalog = self._catalogs[key] = Catalog()
        refusal = catalog.apply(record)
        if refusal is not None:
            self.refused += 1
            log.info("%s of %s-%d by node %d is void: %s", record.kind.value, *key, record.node, refusal)
        waiting = self._waiting.pop(record.token, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(refusal)
        for listener in self._listeners:
            listener(key)

    def forget(self, key: Key) -> None:
        """The topic is gone, and so is everything that it had."""
        self._catalogs.pop(key, None)

    def expect(self, token: str) -> asyncio.Future[str | None]:
        """What becomes of the record with that token: None if it took effect, else why it did not."""
        waiting: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._waiting[token] = waiting
        waiting.add_done_callback(lambda _: self._waiting.pop(token, None))
        return waiting
