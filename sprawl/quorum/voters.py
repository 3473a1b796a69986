"""The voters of the metadata quorum: who they are, and what a majority of them is.

A voter is a node with one directory: the same node with a new disk is another voter (KIP-853), because what it promised
stands on the old one. Plain values; made from and to the `VotersRecord` that stands in the metadata log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sprawl_protocol.messages import (
    VotersRecord,
    VotersRecordEndpoint,
    VotersRecordKRaftVersionFeature,
    VotersRecordVoter,
)

KRAFT_VERSION: Final = 1
"""Of the quorum's protocol: voters have directory ids and stand in the log (KIP-853)."""
LISTENER: Final = "PEER"
"""The name under which a voter's address stands in the record."""


@dataclass(frozen=True, slots=True, order=True)
class ReplicaKey:
    """A replica of the metadata log."""

    node_id: int
    directory_id: UUID

    def __str__(self) -> str:
        return f"node {self.node_id} (directory {self.directory_id})"


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int


class Voters:
    """An unchanging set of voters."""

    __slots__ = ("_addresses", "keys")

    def __init__(self, voters: Mapping[ReplicaKey, Address | None]) -> None:
        assert len({key.node_id for key in voters}) == len(voters), "a node is a voter once"
        self._addresses = dict(voters)
        self.keys = frozenset(voters)

    def __contains__(self, key: ReplicaKey) -> bool:
        return key in self.keys

    def __len__(self) -> int:
        return len(self.keys)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Voters) and self._addresses == other._addresses

    def __hash__(self) -> int:
        return hash(self.keys)

    def __str__(self) -> str:
        return ", ".join(str(key) for key in sorted(self.keys)) or "nobody"

    @property
    def majority(self) -> int:
        return len(self.keys) // 2 + 1

    @property
    def ids(self) -> list[int]:
        return sorted(key.node_id for key in self.keys)

    def key_of(self, node_id: int) -> ReplicaKey | None:
        return next((key for key in self.keys if key.node_id == node_id), None)

    def address_of(self, node_id: int) -> Address | None:
        key = self.key_of(node_id)
        return None if key is None else self._addresses[key]

    def with_voter(self, key: ReplicaKey, address: Address | None) -> Voters:
        return Voters({**self._addresses, key: address})

    def without(self, key: ReplicaKey) -> Voters:
        return Voters({each: address for each, address in self._addresses.items() if each != key})

    def to_record(self) -> VotersRecord:
        return VotersRecord(
            voters=[
                VotersRecordVoter(
                    voter_id=key.node_id,
                    voter_directory_id=key.directory_id,
                    endpoints=[]
                    if (address := self._addresses[key]) is None
                    else [VotersRecordEndpoint(name=LISTENER, host=address.host, port=address.port)],
                    k_raft_version_feature=VotersRecordKRaftVersionFeature(
                        min_supported_version=0, max_supported_version=KRAFT_VERSION
                    ),
                )
                for key in sorted(self.keys)
            ]
        )

    @classmethod
    def of_record(cls, record: VotersRecord) -> Voters:
        return cls(
            {
                ReplicaKey(each.voter_id, each.voter_directory_id): (
                    Address(each.endpoints[0].host, each.endpoints[0].port) if each.endpoints else None
                )
                for each in record.voters
            }
        )

    @classmethod
    def of(cls, keys: Iterable[ReplicaKey]) -> Voters:
        return cls(dict.fromkeys(keys))
