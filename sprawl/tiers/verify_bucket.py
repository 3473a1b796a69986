"""A bucket, checked from its backup's first section to, if so wished, the last byte of its last segment.

In: an object store. Out: a `Report`. Only reads. The cluster may go on meanwhile: what looks wrong is looked at again
with a newer backup, so that a segment that was deleted while this went on is not called missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sprawl.objects.contract import Listed, ObjectStore
from sprawl.runtime import Runtime
from sprawl.tiers.backup_reading import Backup, read_backup
from sprawl.tiers.segments import ROOT
from sprawl.tiers.verify import Finding, check_list, read_through, still_spoken_of

Progress = Callable[[int, int], None]
"""Bytes read of so many."""
_AT_ONCE: Final = 4


@dataclass(frozen=True, slots=True)
class Report:
    backup: Backup
    segments: int
    objects: int
    bytes: int
    """Of all segments."""
    read_bytes: int
    unsettled: int
    findings: tuple[Finding, ...]


async def verify(
    store: ObjectStore, runtime: Runtime, *, deep: bool, orphan_seconds: float, progress: Progress
) -> Report:
    """`orphan_seconds`: how old an object must be to count that no segment speaks of.

    Raises `BadBackup`, `StoreError`.
    """
    backup = await read_backup(store)
    there = await list_segments(store)
    before = runtime.clock.wall_ms() - int(orphan_seconds * 1000)
    verdict = check_list(backup, there, orphans_before_ms=before)
    findings = [*verdict.findings]
    total = sum(one.segment.size for each in backup.tier.values() for one in each.segments)
    read = 0
    if deep:

        def came(size: int) -> None:
            nonlocal read
            read += size
            progress(read, total)

        findings += await _deep(store, runtime, backup, came)
    if findings:
        findings = [*still_spoken_of(findings, await read_backup(store))]
    count = sum(len(each.segments) for each in backup.tier.values())
    findings.sort(key=lambda one: (one.trouble.value, one.object, one.start))
    return Report(backup, count, len(there), total, read, verdict.unsettled, tuple(findings))


async def list_segments(store: ObjectStore) -> dict[str, Listed]:
    """All objects of segments, by their keys. Raises `StoreError`."""
    found: dict[str, Listed] = {}
    after: str | None = None
    while True:
        page = await store.list(ROOT, after=after)
        found.update((each.key, each) for each in page.objects)
        if page.after is None:
            return found
        after = page.after


async def _deep(store: ObjectStore, runtime: Runtime, backup: Backup, came: Callable[[int], None]) -> list[Finding]:
    """Some segments at a time, so that memory is bounded."""
    left = iter([(each.key, one.segment) for each in backup.tier.values() for one in each.segments])
    findings: list[Finding] = []

    async def work() -> None:
        for key, segment in left:
            findings.extend(await read_through(store, runtime, key, segment, came))

    workers = [asyncio.create_task(work()) for _ in range(_AT_ONCE)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return findings
