"""A bucket in a directory, with a backup of a cluster that had one topic: twenty batches in two segments."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import UUID

from crc32c import crc32c

from sprawl.groups.exchange import StoredGroup, StoredMember
from sprawl.groups.offsets import CommittedOffset
from sprawl.groups.records import GroupRecord, GroupsRecord, OffsetRecord, encode
from sprawl.objects.contract import ObjectStore
from sprawl.objects.opening import open_store
from sprawl.objects.probe import MARKER, Marker
from sprawl.runtime.real import RealRuntime
from sprawl.tiers.backup import (
    BackedPartition,
    BackedSegment,
    BackedTopic,
    ClusterBody,
    Extent,
    GroupsBody,
    NodeBody,
    Section,
    TierBody,
    section_key,
)
from sprawl.tiers.manifest import Manifest, ManifestBuilder, Origin
from sprawl.tiers.segments import LOG, MANIFEST, TierSegment, object_name
from tests.tiers.test_manifest import batches

CLUSTER = "c" * 22
TOPIC = UUID(int=7)
KEY = (TOPIC, 0)
COMMITTED = 25
"""Of which 20 are in the tier."""


@dataclass
class Place:
    path: Path
    segments: list[TierSegment] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"file://{self.path}"

    def name(self, number: int, ending: str) -> str:
        return object_name(*KEY, self.segments[number]) + ending

    def file(self, key: str) -> Path:
        return self.path / key

    def do(self, work: Callable[[ObjectStore], Awaitable[Any]]) -> Any:
        async def whole() -> Any:
            store = await open_store(self.url, RealRuntime())
            try:
                return await work(store)
            finally:
                await store.close()

        return asyncio.run(whole())

    def put(self, key: str, data: bytes) -> None:
        self.do(lambda store: store.put(key, data))

    def fill(self) -> None:
        for number, base in enumerate((0, 10)):
            data = b"".join(batches([300 + n for n in range(10)], base))
            manifest = _manifest(data, base, number)
            packed = manifest.pack()
            self.segments.append(replace(manifest.segment, manifest_crc32c=crc32c(packed)))
            self.put(self.name(number, LOG), data)
            self.put(self.name(number, MANIFEST), packed)
        self.put(MARKER, Marker(CLUSTER, 0).pack())
        for name, body in self._bodies().items():
            self.put(section_key(CLUSTER, name), Section(name, CLUSTER, 3, 1_700_000_000_000, body).pack())

    def _bodies(self) -> dict[str, Any]:
        topics = (
            BackedTopic("orders", TOPIC, (2,), 3, {"remote.storage.enable": "true", "retention.ms": "-1"}),
            BackedTopic("__consumer_offsets", UUID(int=8), (1, 1), 3, {"cleanup.policy": "compact"}),
        )
        chain = tuple(BackedSegment(each, each.end_offset) for each in self.segments)
        member = StoredMember("m", None, "client", "/host", 1000, 1000, b"", b"")
        records: tuple[GroupsRecord, ...] = (
            GroupRecord("billing", StoredGroup("consumer", 5, "range", "m", 1000, (member,))),
            OffsetRecord("billing", "orders", 0, CommittedOffset(23, 2, "", 1000)),
            OffsetRecord("audit", "orders", 0, CommittedOffset(7, 1, "note", 1000)),
            OffsetRecord("audit", "gone", 0, CommittedOffset(7, 1, "", 1000)),
        )
        told = [(key, value) for key, value in map(encode, records) if value is not None]
        return {
            "cluster": ClusterBody(topics, {4: {"": {"log.retention.ms": "700"}}}, 3000).told(),
            "tier-0": TierBody((BackedPartition(KEY, 2, chain),)).told(),
            "node-1": NodeBody((Extent(KEY, 2, 0, COMMITTED),)).told(),
            "groups-1": GroupsBody(tuple(told)).told(),
        }


def _manifest(data: bytes, base: int, number: int) -> Manifest:
    builder = ManifestBuilder(base, base + 10, 1000)
    for at in range(0, len(data), 1000):
        builder.feed(data[at : at + 1000])
    origin = Origin(CLUSTER, "orders", TOPIC, 0, 1, {}, 2, 1, 99)
    return builder.finish(origin, TierSegment(f"id{number}", base, base + 10, 0, -1, ((number, base),)), None)
