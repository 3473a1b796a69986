"""Where replicas lie on disk."""

from __future__ import annotations

from uuid import UUID

from sprawl_protocol.api import ApiKey
from sprawl_protocol.message import Request, Response, Struct, array, boolean, field, int16, int32, int64, string, uuid
from sprawl_protocol.primitives import NO_ID


class DescribeLogDirsPartition(Struct):
    partition_index: int = field(int32, default=0)
    partition_size: int = field(int64, default=0)
    offset_lag: int = field(int64, default=0)
    is_future_key: bool = field(boolean, default=False)


class DescribeLogDirsTopic(Struct):
    name: str = field(string, default="")
    partitions: list[DescribeLogDirsPartition] = field(array(DescribeLogDirsPartition), default_factory=list)


class DescribeLogDirsResult(Struct):
    error_code: int = field(int16, default=0)
    log_dir: str = field(string, default="")
    topics: list[DescribeLogDirsTopic] = field(array(DescribeLogDirsTopic), default_factory=list)
    total_bytes: int = field(int64, "4+", default=-1, ignorable=True)
    usable_bytes: int = field(int64, "4+", default=-1, ignorable=True)
    is_cordoned: bool = field(boolean, "5+", default=False, ignorable=True)


class DescribeLogDirsResponse(Response, api_key=ApiKey.DESCRIBE_LOG_DIRS, versions="1-5", flexible="2+"):
    throttle_time_ms: int = field(int32, default=0)
    error_code: int = field(int16, "3+", default=0, ignorable=True)
    results: list[DescribeLogDirsResult] = field(array(DescribeLogDirsResult), default_factory=list)


class DescribableLogDirTopic(Struct):
    topic: str = field(string, default="")
    partitions: list[int] = field(array(int32), default_factory=list)


class DescribeLogDirsRequest(
    Request, api_key=ApiKey.DESCRIBE_LOG_DIRS, versions="1-5", flexible="2+", response=DescribeLogDirsResponse
):
    topics: list[DescribableLogDirTopic] | None = field(
        array(DescribableLogDirTopic), default_factory=list, nullable="0+"
    )


class AlterReplicaLogDirPartitionResult(Struct):
    partition_index: int = field(int32, default=0)
    error_code: int = field(int16, default=0)


class AlterReplicaLogDirTopicResult(Struct):
    topic_name: str = field(string, default="")
    partitions: list[AlterReplicaLogDirPartitionResult] = field(
        array(AlterReplicaLogDirPartitionResult), default_factory=list
    )


class AlterReplicaLogDirsResponse(Response, api_key=ApiKey.ALTER_REPLICA_LOG_DIRS, versions="1-2", flexible="2+"):
    throttle_time_ms: int = field(int32, default=0)
    results: list[AlterReplicaLogDirTopicResult] = field(array(AlterReplicaLogDirTopicResult), default_factory=list)


class AlterReplicaLogDirTopic(Struct):
    name: str = field(string, default="")
    partitions: list[int] = field(array(int32), default_factory=list)


class AlterReplicaLogDir(Struct):
    path: str = field(string, default="")
    topics: list[AlterReplicaLogDirTopic] = field(array(AlterReplicaLogDirTopic), default_factory=list)


class AlterReplicaLogDirsRequest(
    Request, api_key=ApiKey.ALTER_REPLICA_LOG_DIRS, versions="1-2", flexible="2+", response=AlterReplicaLogDirsResponse
):
    dirs: list[AlterReplicaLogDir] = field(array(AlterReplicaLogDir), default_factory=list)


class AssignReplicasToDirsResponsePartitionData(Struct):
    partition_index: int = field(int32, default=0)
    error_code: int = field(int16, default=0)


class AssignReplicasToDirsResponseTopicData(Struct):
    topic_id: UUID = field(uuid, default=NO_ID)
    partitions: list[AssignReplicasToDirsResponsePartitionData] = field(
        array(AssignReplicasToDirsResponsePartitionData), default_factory=list
    )


class DirectoryData(Struct):
    id: UUID = field(uuid, default=NO_ID)
    topics: list[AssignReplicasToDirsResponseTopicData] = field(
        array(AssignReplicasToDirsResponseTopicData), default_factory=list
    )


class AssignReplicasToDirsResponse(Response, api_key=ApiKey.ASSIGN_REPLICAS_TO_DIRS, versions="0", flexible="0+"):
    throttle_time_ms: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    directories: list[DirectoryData] = field(array(DirectoryData), default_factory=list)


class AssignReplicasToDirsRequestPartitionData(Struct):
    partition_index: int = field(int32, default=0)


class AssignReplicasToDirsRequestTopicData(Struct):
    topic_id: UUID = field(uuid, default=NO_ID)
    partitions: list[AssignReplicasToDirsRequestPartitionData] = field(
        array(AssignReplicasToDirsRequestPartitionData), default_factory=list
    )


class AssignReplicasToDirsRequestDirectoryData(Struct):
    id: UUID = field(uuid, default=NO_ID)
    topics: list[AssignReplicasToDirsRequestTopicData] = field(
        array(AssignReplicasToDirsRequestTopicData), default_factory=list
    )


class AssignReplicasToDirsRequest(
    Request, api_key=ApiKey.ASSIGN_REPLICAS_TO_DIRS, versions="0", flexible="0+", response=AssignReplicasToDirsResponse
):
    broker_id: int = field(int32, default=0)
    broker_epoch: int = field(int64, default=-1)
    directories: list[AssignReplicasToDirsRequestDirectoryData] = field(
        array(AssignReplicasToDirsRequestDirectoryData), default_factory=list
    )
