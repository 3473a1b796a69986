"""What nobody looks after any more: the segments of topics that were deleted, and objects that no record speaks of.

In: the metadata image, the catalogs, the store's lists. Out: deletions. Whoever leads a partition of `__sprawl_tier`
collects what that partition's records are about. Nothing is believed at once: a topic must be missing for the whole
grace time, an object must be as old as that, and the records must have been read to their end after it was listed.

    topic gone      > grace > DELETE_STARTED of each segment > delete grace > objects > DELETE_FINISHED > forgotten
    object unknown  > grace > deleted: an upload that outlived its leader, a delete that the store did not do
    upload unfinished > grace > aborted
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final
from uuid import UUID

from sprawl.objects.contract import ObjectStore
from sprawl.objects.errors import StoreError
from sprawl.objects.probe import TRIALS
from sprawl.quorum.image import MetadataImage
from sprawl.runtime import Runtime
from sprawl.tiers.catalog import SegmentState
from sprawl.tiers.catalogs import Catalogs, Key
from sprawl.tiers.counters import TierCounters
from sprawl.tiers.records import TOPIC_IS_GONE, RecordKind, TierRecord
from sprawl.tiers.segments import LOG, MANIFEST, ROOT, object_name, parse_object_name
from sprawl.tiers.topic import TierTopic
from sprawl.wire.client import ClientError
from sprawl_protocol.errors import ApiError

log = logging.getLogger(__name__)

_TROUBLE: Final = (StoreError, ApiError, ClientError, TimeoutError)
_LOOKS: Final = 8
"""Looks at the catalogs in a grace time; the store is listed once in that time."""


class Collector:
    def __init__(
        self,
        node_id: int,
        store: ObjectStore,
        topic: TierTopic,
        catalogs: Catalogs,
        image: Callable[[], MetadataImage],
        runtime: Runtime,
        counters: TierCounters,
        *,
        grace_ms: int,
        delete_grace_ms: int,
    ) -> None:
        self._node_id = node_id
        self._store = store
        self._topic = topic
        self._catalogs = catalogs
        self._image = image
        self._runtime = runtime
        self._counters = counters
        self._grace_ms = grace_ms
        self._delete_grace_ms = delete_grace_ms
        self._missing_since: dict[UUID, float] = {}
        """Topics that have records and are not in the image; by the monotonic clock."""

    async def run(self) -> None:
        """Ends with the node."""
        looks = 0
        while True:
            await asyncio.sleep(self._grace_ms / 1000 / _LOOKS)
            looks += 1
            try:
                await self._collect_topics()
                if looks % _LOOKS == 0:
                    await self._sweep()
            except _TROUBLE as problem:
                log.warning("what nobody needs stays in the tier for now: %s", problem or repr(problem))

    # -- topics that are gone -------------------------------------------------------------------------------

    async def _collect_topics(self) -> None:
        for key in self._catalogs.keys():  # noqa: SIM118 - not a mapping
            if self._is_gone(key[0]) and self._topic.led_here(*key):
                await self._collect(key)

    def _is_gone(self, topic_id: UUID) -> bool:
        """For the whole grace time, as seen by a node that the controller counts on."""
        image, now = self._image(), self._runtime.clock.monotonic()
        me = image.brokers.get(self._node_id)
        if topic_id in image.topics_by_id or me is None or not me.active:
            self._missing_since.pop(topic_id, None)
            return False
        return now - self._missing_since.setdefault(topic_id, now) >= self._grace_ms / 1000

    async def _collect(self, key: Key) -> None:
        now_ms = self._runtime.clock.wall_ms()
        for entry in self._catalogs[key].entries:
            if entry.state is not SegmentState.DELETE_STARTED:
                await self._write(key, RecordKind.DELETE_STARTED, entry.segment.id)
            elif now_ms - entry.since_ms >= self._delete_grace_ms:
                name = object_name(*key, entry.segment)
                await self._store.delete_many([name + MANIFEST, name + LOG])
                await self._write(key, RecordKind.DELETE_FINISHED, entry.segment.id)
                self._counters.deleted_segments += 1
        if not len(self._catalogs[key]):
            self._catalogs.forget(key)

    async def _write(self, key: Key, kind: RecordKind, segment_id: str) -> None:
        record = TierRecord(
            kind,
            *key,
            TOPIC_IS_GONE,
            self._node_id,
            self._runtime.clock.wall_ms(),
            self._runtime.token_bytes(16).hex(),
            segment_id=segment_id,
        )
        refusal = await self._topic.write(record)
        if refusal is not None:
            log.warning("%s of %s-%d is void: %s", kind.value, *key, refusal)

    # -- objects that no record speaks of ---------------------------------------------------------------------

    async def _sweep(self) -> None:
        after: str | None = None
        while True:
            page = await self._store.list(ROOT, after=after)
            listed = self._runtime.clock.monotonic()
            limit = self._runtime.clock.wall_ms() - self._grace_ms
            old = [each.key for each in page.objects if each.modified_ms < limit and self._is_unknown(each.key)]
            if old:
                await self._delete_unknown(old, listed)
            if page.after is None:
                break
            after = page.after
        for upload in await self._store.uploads(ROOT):
            if upload.started_ms < limit and self._is_unknown(upload.key):
                await self._store.abort_upload(upload)
        trials = [each.key for each in (await self._store.list(TRIALS)).objects if each.modified_ms < limit]
        if trials:  # of nodes that died while they asked whether the store can be used
            await self._store.delete_many(trials)

    async def _delete_unknown(self, keys: list[str], listed: float) -> None:
        """Once every record that was there when the objects were listed has been read."""
        await asyncio.sleep(self._topic.longest_wait)
        doomed = []
        for key in keys:
            found = parse_object_name(key)
            assert found is not None, "otherwise it would not be unknown"
            if self._topic.up_to_date(found[0], found[1], listed) and self._is_unknown(key):
                doomed.append(key)
        if doomed:
            log.warning("%d objects of the tier belong to nothing and are deleted: %s, ...", len(doomed), doomed[0])
            await self._store.delete_many(doomed)
            self._counters.swept_objects += len(doomed)

    def _is_unknown(self, key: str) -> bool:
        """Of a partition that this node answers for, and of no segment of it."""
        found = parse_object_name(key)
        if found is None or not self._topic.led_here(found[0], found[1]):
            return False
        return self._catalogs[(found[0], found[1])].get(found[2]) is None
