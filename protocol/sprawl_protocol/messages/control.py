"""Contents of control records, of snapshots, and of forwarded principals."""

from __future__ import annotations

from uuid import UUID

from sprawl_protocol.message import Struct, array, boolean, field, int16, int32, int64, string, struct, uint16, uuid
from sprawl_protocol.primitives import NO_ID


class AbortedTxn(Struct, versions="0", flexible="none"):
    producer_id: int = field(int64, default=0)
    first_offset: int = field(int64, default=0)
    last_offset: int = field(int64, default=0)
    last_stable_offset: int = field(int64, default=0)


class ControlRecordTypeSchema(Struct, versions="0", flexible="none"):
    type: int = field(int16, default=0)


class DefaultPrincipalData(Struct, versions="0", flexible="0+"):
    type: str = field(string, default="")
    name: str = field(string, default="")
    token_authenticated: bool = field(boolean, default=False)


class EndTxnMarker(Struct, versions="0", flexible="none"):
    coordinator_epoch: int = field(int32, default=0)


class KRaftVersionRecord(Struct, versions="0", flexible="0+"):
    version: int = field(int16, default=0)
    k_raft_version: int = field(int16, default=0)


class Voter(Struct):
    voter_id: int = field(int32, default=0)
    voter_directory_id: UUID = field(uuid, "1+", default=NO_ID)


class LeaderChangeMessage(Struct, versions="0-1", flexible="0+"):
    version: int = field(int16, default=0)
    leader_id: int = field(int32, default=0)
    voters: list[Voter] = field(array(Voter), default_factory=list)
    granting_voters: list[Voter] = field(array(Voter), default_factory=list)


class SnapshotFooterRecord(Struct, versions="0", flexible="0+"):
    version: int = field(int16, default=0)


class SnapshotHeaderRecord(Struct, versions="0", flexible="0+"):
    version: int = field(int16, default=0)
    last_contained_log_timestamp: int = field(int64, default=0)


class VotersRecordEndpoint(Struct):
    name: str = field(string, default="")
    host: str = field(string, default="")
    port: int = field(uint16, default=0)


class VotersRecordKRaftVersionFeature(Struct):
    min_supported_version: int = field(int16, default=0)
    max_supported_version: int = field(int16, default=0)


class VotersRecordVoter(Struct):
    voter_id: int = field(int32, default=0)
    voter_directory_id: UUID = field(uuid, default=NO_ID)
    endpoints: list[VotersRecordEndpoint] = field(array(VotersRecordEndpoint), default_factory=list)
    k_raft_version_feature: VotersRecordKRaftVersionFeature = field(
        struct(VotersRecordKRaftVersionFeature), default_factory=VotersRecordKRaftVersionFeature
    )


class VotersRecord(Struct, versions="0", flexible="0+"):
    version: int = field(int16, default=0)
    voters: list[VotersRecordVoter] = field(array(VotersRecordVoter), default_factory=list)
