"""Whether a bucket has what its cluster's metadata says, object by object.

In: a backup, the bucket's list, and, if every byte is to be looked at, what came of that. Out: a `Finding` for each
thing that is wrong. Pure, but for `read_through`, which reads one segment. Nothing is mended here.

An object that no segment speaks of is nothing unusual for a while: it is being uploaded, or will be deleted soon. Only
when it is older than the cluster takes to clean up is it a finding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from crc32c import crc32c

from sprawl.objects.contract import Listed, ObjectStore
from sprawl.objects.errors import Corrupt, NotFound
from sprawl.runtime import Runtime
from sprawl.tiers.backup import BackedPartition, Key
from sprawl.tiers.backup_reading import Backup
from sprawl.tiers.manifest import BadSegment, Manifest
from sprawl.tiers.segments import LOG, MANIFEST, TierSegment, object_name

_READ_BYTES: Final = 8 * 1024 * 1024


class Trouble(Enum):
    MISSING = "missing"
    SIZE = "wrong size"
    CHECKSUM = "wrong checksum"
    HOLE = "hole"
    """Offsets between two segments that are in neither."""
    ORPHANED = "orphaned"


@dataclass(frozen=True, slots=True)
class Finding:
    trouble: Trouble
    object: str
    partition: Key | None
    start: int
    """Of the offsets concerned; -1 where there are none."""
    end: int
    what: str


@dataclass(frozen=True, slots=True)
class Verdict:
    findings: tuple[Finding, ...]
    unsettled: int
    """Objects that no segment speaks of, and that are young."""


def check_list(backup: Backup, there: Mapping[str, Listed], *, orphans_before_ms: int) -> Verdict:
    """`there`: all objects below `topics/`."""
    findings: list[Finding] = []
    spoken_of: set[str] = set()
    for partition in backup.tier.values():
        for backed in partition.segments:
            name = object_name(*partition.key, backed.segment)
            spoken_of |= {name + LOG, name + MANIFEST}
            findings += _listed_wrong(partition.key, backed.segment, there)
        findings += _holes(partition, backup)
    strangers = [each for key, each in there.items() if key not in spoken_of]
    old = [each for each in strangers if each.modified_ms < orphans_before_ms]
    findings += [
        Finding(Trouble.ORPHANED, each.key, None, -1, -1, f"{each.size} bytes that no segment speaks of")
        for each in old
    ]
    return Verdict(tuple(findings), len(strangers) - len(old))


def still_spoken_of(findings: Iterable[Finding], backup: Backup) -> tuple[Finding, ...]:
    """Those that a newer backup bears out: what was deleted meanwhile is not missing."""
    names = {
        object_name(*each.key, one.segment) + ending
        for each in backup.tier.values()
        for one in each.segments
        for ending in (LOG, MANIFEST)
    }
    return tuple(each for each in findings if (each.trouble is Trouble.ORPHANED) != (each.object in names))


def _listed_wrong(key: Key, segment: TierSegment, there: Mapping[str, Listed]) -> Iterable[Finding]:
    name, offsets = object_name(*key, segment), (segment.base_offset, segment.end_offset)
    found = there.get(name + LOG)
    if found is None:
        yield Finding(Trouble.MISSING, name + LOG, key, *offsets, "its records cannot be read")
    elif found.size != segment.size:
        yield Finding(Trouble.SIZE, name + LOG, key, *offsets, f"{found.size} bytes, not {segment.size}")
    if name + MANIFEST not in there:
        yield Finding(Trouble.MISSING, name + MANIFEST, key, *offsets, "without it its records cannot be read")


def _holes(partition: BackedPartition, backup: Backup) -> Iterable[Finding]:
    extent = backup.extents.get(partition.key)
    due = None if extent is None else extent.start
    for each in partition.segments:
        base = each.segment.base_offset
        if due is not None and base > due and each is not partition.segments[0]:
            name = object_name(*partition.key, each.segment) + LOG
            yield Finding(Trouble.HOLE, name, partition.key, due, base, "offsets before it that no segment has")
        due = max(each.end_offset, -1 if due is None else due)


# -- every byte ------------------------------------------------------------------------------------------------


async def read_through(
    store: ObjectStore,
    runtime: Runtime,
    key: Key,
    segment: TierSegment,
    read: Callable[[int], None],
    read_bytes: int = _READ_BYTES,
) -> list[Finding]:
    """Manifest and bytes of a segment against their checksums; `read` is told how many bytes came.

    Raises `StoreError` if the store cannot be asked.
    """
    name, offsets = object_name(*key, segment), (segment.base_offset, segment.end_offset)

    def bad(object_: str, what: str) -> Finding:
        return Finding(Trouble.CHECKSUM, object_, key, *offsets, what)

    try:
        raw = await store.get(name + MANIFEST)
        if crc32c(raw) != segment.manifest_crc32c:
            raise BadSegment("its checksum is not the one that was noted when it was put")
        manifest = await runtime.in_thread(lambda: Manifest.parse(raw))
        if manifest.segment.id != segment.id:
            raise BadSegment(f"it speaks of the segment {manifest.segment.id}")
    except NotFound:
        return []  # the list has told
    except (BadSegment, Corrupt) as problem:
        return [bad(name + MANIFEST, str(problem))]
    size, findings = manifest.chunk_bytes, list[Finding]()
    step = max(1, read_bytes // size) * size
    for at in range(0, segment.size, step):
        try:
            data = await store.get(name + LOG, at, min(step, segment.size - at))
        except NotFound:
            return findings
        except Corrupt as problem:
            return [*findings, bad(name + LOG, str(problem))]
        pieces = [data[begin : begin + size] for begin in range(0, len(data), size)]
        sums = await runtime.in_thread(lambda pieces=pieces: [crc32c(piece) for piece in pieces])  # type: ignore[misc]
        read(len(data))
        expected = [chunk.crc32c for chunk in manifest.chunks[at // size : at // size + len(pieces)]]
        for number, (found, wanted) in enumerate(zip(sums, expected, strict=False), at // size):
            if found != wanted:
                findings.append(
                    bad(name + LOG, f"bytes {number * size} to {(number + 1) * size} are not those uploaded")
                )
    return findings
