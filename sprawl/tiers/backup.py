"""What a cluster keeps of itself in its bucket, so that it can be built again from that alone.

In: what a node knows. Out: sections, each an object of its own, put by whoever answers for what is in it:

    backup/<cluster id>/cluster.json     the active controller: topics, settings, the next producer id
    backup/<cluster id>/tier-<n>.json    the leader of `__sprawl_tier`-n: the segments that this partition speaks of
    backup/<cluster id>/node-<id>.json   each node: where the logs that it leads begin, and what was committed
    backup/<cluster id>/groups-<n>.json  the leader of `__consumer_offsets`-n: its groups' records, as they lie there

A section is two lines: a heading with the format, whose it is and a checksum over all of it, and the body, JSON. Pure.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self
from uuid import UUID

from crc32c import crc32c

from sprawl.tiers.segments import TierSegment

BACKUP: Final = "backup/"
FORMAT: Final = 1
CLUSTER: Final = "cluster"
TIER: Final = "tier-"
NODE: Final = "node-"
GROUPS: Final = "groups-"
_CLUSTER_ID: Final = "cluster_id"

Key = tuple[UUID, int]


class BadBackup(Exception):
    """The section cannot be believed. The text says why, and what to do."""


class FutureBackup(BadBackup):
    """A newer Sprawl wrote it."""


def section_key(cluster_id: str, name: str) -> str:
    return f"{BACKUP}{cluster_id}/{name}.json"


@dataclass(frozen=True, slots=True)
class Section:
    """One object."""

    name: str
    cluster_id: str
    epoch: int
    """Of its writer: nobody replaces a section of a later epoch."""
    time_ms: int
    body: Mapping[str, Any]

    def pack(self) -> bytes:
        body = json.dumps(self.body, separators=(",", ":")).encode()
        heading = {
            "format": FORMAT,
            "name": self.name,
            _CLUSTER_ID: self.cluster_id,
            "epoch": self.epoch,
            "time": self.time_ms,
            "size": len(body),
        }
        heading["crc32c"] = _checksum(heading, body)
        return json.dumps(heading).encode() + b"\n" + body + b"\n"

    @classmethod
    def parse(cls, raw: bytes, where: str) -> Self:
        """Raises `BadBackup`."""
        try:
            first, _, rest = raw.partition(b"\n")
            heading = json.loads(first)
            if heading["format"] > FORMAT:
                raise FutureBackup(
                    f"{where} is of format {heading['format']}, this Sprawl knows up to {FORMAT}: "
                    "a newer one wrote it. Restore with that version"
                )
            body = rest.removesuffix(b"\n")
            told = heading.pop("crc32c")
            if len(body) != heading["size"] or told != _checksum(heading, body):
                raise _damaged(where, "its bytes are not those that its checksum was made of")
            return cls(
                str(heading["name"]),
                str(heading[_CLUSTER_ID]),
                int(heading["epoch"]),
                int(heading["time"]),
                json.loads(body),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _damaged(where, repr(error)) from error


def damaged_body(where: str, error: Exception) -> BadBackup:
    """The checksum holds, and yet it does not say what it should."""
    return _damaged(where, repr(error))


def _damaged(where: str, why: str) -> BadBackup:
    return BadBackup(
        f"{where} is damaged ({why}). If the cluster still runs, it writes a new one within "
        "sprawl.tier.backup.interval.ms of removing this one; otherwise put back an older version of the "
        "object, if the bucket keeps versions, or a copy of the bucket"
    )


def _checksum(heading: Mapping[str, Any], body: bytes) -> int:
    return crc32c(body, crc32c(json.dumps(heading, sort_keys=True).encode()))


# -- the bodies ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BackedTopic:
    name: str
    id: UUID
    leader_epochs: tuple[int, ...]
    """One for each partition."""
    replicas: int
    """The replication factor."""
    configs: Mapping[str, str]

    def told(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "id": str(self.id),
            "leader_epochs": list(self.leader_epochs),
            "replicas": self.replicas,
            "configs": dict(self.configs),
        }

    @classmethod
    def from_told(cls, told: Mapping[str, Any]) -> Self:
        return cls(
            str(told["name"]),
            UUID(told["id"]),
            tuple(int(each) for each in told["leader_epochs"]),
            int(told["replicas"]),
            _strings(told["configs"]),
        )


@dataclass(frozen=True, slots=True)
class ClusterBody:
    topics: tuple[BackedTopic, ...]
    """Internal ones too: of some, the number of partitions counts."""
    configs: Mapping[int, Mapping[str, Mapping[str, str]]]
    """Other settings than topics': by kind, by resource."""
    next_producer_id: int

    def told(self) -> dict[str, Any]:
        return {
            "topics": [each.told() for each in self.topics],
            "configs": {str(kind): {name: dict(own) for name, own in of.items()} for kind, of in self.configs.items()},
            "next_producer_id": self.next_producer_id,
        }

    @classmethod
    def from_told(cls, told: Mapping[str, Any]) -> Self:
        """Raises `KeyError`, `TypeError`, `ValueError`, `AttributeError`: so do those below."""
        return cls(
            tuple(BackedTopic.from_told(each) for each in told["topics"]),
            {int(kind): {str(name): _strings(own) for name, own in of.items()} for kind, of in told["configs"].items()},
            int(told["next_producer_id"]),
        )


@dataclass(frozen=True, slots=True)
class BackedSegment:
    segment: TierSegment
    end_offset: int
    """Where it counts until: before its own end where the log was cut."""


@dataclass(frozen=True, slots=True)
class BackedPartition:
    """What the tier has of it, and may be read."""

    key: Key
    leader_epoch: int
    """The newest that has claimed it, or written."""
    segments: tuple[BackedSegment, ...]


@dataclass(frozen=True, slots=True)
class TierBody:
    partitions: tuple[BackedPartition, ...]

    def told(self) -> dict[str, Any]:
        return {
            "partitions": [
                {
                    "topic_id": str(each.key[0]),
                    "partition": each.key[1],
                    "leader_epoch": each.leader_epoch,
                    "segments": [{**one.segment.told(), "counts_until": one.end_offset} for one in each.segments],
                }
                for each in self.partitions
            ]
        }

    @classmethod
    def from_told(cls, told: Mapping[str, Any]) -> Self:
        return cls(
            tuple(
                BackedPartition(
                    (UUID(each["topic_id"]), int(each["partition"])),
                    int(each["leader_epoch"]),
                    tuple(
                        BackedSegment(TierSegment.from_told(one), int(one["counts_until"])) for one in each["segments"]
                    ),
                )
                for each in told["partitions"]
            )
        )


@dataclass(frozen=True, slots=True)
class Extent:
    """Of a log, as its leader knew it."""

    key: Key
    leader_epoch: int
    start: int
    committed: int
    """The high watermark."""


@dataclass(frozen=True, slots=True)
class NodeBody:
    extents: tuple[Extent, ...]

    def told(self) -> dict[str, Any]:
        return {
            "logs": [
                [str(each.key[0]), each.key[1], each.leader_epoch, each.start, each.committed] for each in self.extents
            ]
        }

    @classmethod
    def from_told(cls, told: Mapping[str, Any]) -> Self:
        return cls(
            tuple(
                Extent((UUID(topic_id), int(partition)), int(epoch), int(start), int(committed))
                for topic_id, partition, epoch, start, committed in told["logs"]
            )
        )


@dataclass(frozen=True, slots=True)
class GroupsBody:
    records: tuple[tuple[bytes, bytes], ...]
    """Keys and values, as in `__consumer_offsets`."""

    def told(self) -> dict[str, Any]:
        return {"records": [[_text(key), _text(value)] for key, value in self.records]}

    @classmethod
    def from_told(cls, told: Mapping[str, Any]) -> Self:
        return cls(tuple((_bytes(key), _bytes(value)) for key, value in told["records"]))


def _strings(told: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in told.items()}


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
