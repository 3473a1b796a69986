"""Every API this broker must have, asked in every version between Kafka's least and greatest, and answered sensibly.

Each scenario builds a request for a version and checks the answer. The versions are those of Kafka 4.4; where the
target is an older Kafka
that lacks one, or kafka-python has no schema of it, the case is skipped and says so.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from compat_tests import brokers
from compat_tests.moments import LATELY
from compat_tests.raw import batches
from compat_tests.raw.conftest import (
    Connect,
    Connection,
    fetch_request,
    fetched,
    id_of,
    produce,
    produce_request,
    produced,
)
from compat_tests.raw.wire import message
from compat_tests.waiting import until

pytestmark = pytest.mark.feature("every version")

#: What Kafka 4.4 advertises of the APIs whose behaviour is promised. Produce 0-2 are advertised and refused.
PROMISED = {
    "Produce": (0, 0, 13),
    "Fetch": (1, 4, 18),
    "ListOffsets": (2, 1, 11),
    "Metadata": (3, 0, 13),
    "OffsetCommit": (8, 2, 10),
    "OffsetFetch": (9, 1, 10),
    "FindCoordinator": (10, 0, 6),
    "JoinGroup": (11, 0, 9),
    "Heartbeat": (12, 0, 4),
    "LeaveGroup": (13, 0, 5),
    "SyncGroup": (14, 0, 5),
    "DescribeGroups": (15, 0, 6),
    "ListGroups": (16, 0, 5),
    "ApiVersions": (18, 0, 5),
    "CreateTopics": (19, 2, 7),
    "DeleteTopics": (20, 1, 6),
    "DeleteRecords": (21, 0, 2),
    "InitProducerId": (22, 0, 5),
    "OffsetForLeaderEpoch": (23, 2, 4),
    "DescribeConfigs": (32, 1, 4),
    "AlterConfigs": (33, 0, 2),
    "DescribeLogDirs": (35, 1, 5),
    "CreatePartitions": (37, 0, 3),
    "DeleteGroups": (42, 0, 3),
    "IncrementalAlterConfigs": (44, 0, 1),
    "OffsetDelete": (47, 0, 0),
    "DescribeCluster": (60, 0, 2),
    "DescribeTopicPartitions": (75, 0, 0),
}


@dataclass(slots=True)
class Scene:
    """A topic with ten records in it, a connection, and the version that is asked."""

    connection: Connection
    topic: str
    topic_id: uuid.UUID
    version: int
    new_name: Callable[[], str]
    made: dict[str, Any] = field(default_factory=dict)

    def ask(self, name: str, version: int | None = None, **fields: Any) -> Any:
        return self.connection.ask(message(f"{name}Request")(**fields), self.version if version is None else version)


def produce_scene(scene: Scene) -> None:
    data = batches.batch(b"more")
    request = produce_request(scene.topic, data, topic_id=scene.topic_id)
    answer = produced(scene.connection.ask(request, scene.version))
    assert (answer.error_code, answer.base_offset) == (0, 10)
    assert scene.version < 2 or answer.log_append_time_ms == -1
    assert scene.version < 5 or answer.log_start_offset == 0


def fetch_scene(scene: Scene) -> None:
    answer = scene.connection.ask(fetch_request(scene.topic, 3, topic_id=scene.topic_id), scene.version)
    part = fetched(answer)
    assert (part.error_code, part.high_watermark) == (0, 10)
    assert part.last_stable_offset == 10
    assert scene.version < 5 or part.log_start_offset == 0
    found = {record.offset: record.value for record in batches.records(part.records)}
    assert found[3] == b"3"
    assert set(range(3, 10)) <= set(found)


def list_offsets_scene(scene: Scene) -> None:
    request = message("ListOffsetsRequest")

    def offset(timestamp: int) -> tuple[int, int, int]:
        part = request.ListOffsetsTopic.ListOffsetsPartition(
            partition_index=0, current_leader_epoch=-1, timestamp=timestamp
        )
        topics = [request.ListOffsetsTopic(name=scene.topic, partitions=[part])]
        answer = scene.ask("ListOffsets", replica_id=-1, isolation_level=0, topics=topics, timeout_ms=5000)
        found = answer.topics[0].partitions[0]
        return found.error_code, found.offset, found.timestamp

    assert offset(-2) == (0, 0, -1)
    assert offset(-1) == (0, 10, -1)
    assert offset(LATELY + 5) == (0, 5, LATELY + 5)
    assert offset(LATELY + 100_000) == (0, -1, -1)
    if scene.version >= 7:
        assert offset(-3) == (0, 9, LATELY + 9)
    if scene.version >= 8:
        assert offset(-4)[:2] == (0, 0), "the earliest local offset"
    if scene.version >= 9:
        assert offset(-5)[0] == 0, "the latest tiered offset"
    if scene.version >= 11:
        assert offset(-6)[0] == 0, "the earliest offset waiting for upload"


def metadata_scene(scene: Scene) -> None:
    request = message("MetadataRequest")
    for asked in ([request.MetadataRequestTopic(name=scene.topic)], None if scene.version else []):
        answer = scene.ask("Metadata", topics=asked, allow_auto_topic_creation=False)
        assert len(answer.brokers) == 1
        assert scene.version < 1 or answer.controller_id == answer.brokers[0].node_id
        assert scene.version < 2 or answer.cluster_id
        (found,) = [each for each in answer.topics if each.name == scene.topic]
        assert found.error_code == 0
        assert scene.version < 10 or found.topic_id == scene.topic_id
        (partition,) = found.partitions
        assert (partition.error_code, partition.leader_id) == (0, answer.brokers[0].node_id)
        assert partition.replica_nodes == partition.isr_nodes == [partition.leader_id]
    unknown = [request.MetadataRequestTopic(name=scene.new_name())]
    answer = scene.ask("Metadata", topics=unknown, allow_auto_topic_creation=False)
    assert [each.error_code for each in answer.topics] == [3]
    if scene.version:
        assert scene.ask("Metadata", topics=[], allow_auto_topic_creation=False).topics == []


def coordinator(scene: Scene, group: str) -> None:
    """Asks for the group's coordinator until there is one."""
    request = message("FindCoordinatorRequest")
    until("a coordinator", lambda: scene.connection.ask(request(key=group, key_type=0), 2).error_code == 0)


def find_coordinator_scene(scene: Scene) -> None:
    group = scene.new_name()
    coordinator(scene, group)
    if scene.version < 4:
        answer = scene.ask("FindCoordinator", key=group, key_type=0)
        assert (answer.error_code, answer.node_id >= 0, answer.host) == (0, True, "127.0.0.1")
        return
    answer = scene.ask("FindCoordinator", key_type=0, coordinator_keys=[group, group + "-b"])
    assert [(each.key, each.error_code) for each in answer.coordinators] == [(group, 0), (group + "-b", 0)]


def join(scene: Scene, group: str, version: int) -> Any:
    """A member alone in its group, as its client would come: with a second join if the first only gave it an id."""
    request = message("JoinGroupRequest")
    coordinator(scene, group)
    protocol = request.JoinGroupRequestProtocol(name="range", metadata=b"\0\0\0\0\0\0\0\0\0\0")
    fields = {
        "group_id": group,
        "session_timeout_ms": 10_000,
        "rebalance_timeout_ms": 10_000,
        "protocol_type": "consumer",
        "protocols": [protocol],
        "group_instance_id": None,
    }
    answer = scene.ask("JoinGroup", version, member_id="", **fields)
    if answer.error_code == 79:
        assert version >= 4
        answer = scene.ask("JoinGroup", version, member_id=answer.member_id, **fields)
    assert answer.error_code == 0
    return answer


def sync(scene: Scene, group: str, joined: Any, version: int) -> Any:
    request = message("SyncGroupRequest")
    assignment = request.SyncGroupRequestAssignment(member_id=joined.member_id, assignment=b"mine")
    return scene.ask(
        "SyncGroup",
        version,
        group_id=group,
        generation_id=joined.generation_id,
        member_id=joined.member_id,
        group_instance_id=None,
        protocol_type="consumer",
        protocol_name="range",
        assignments=[assignment],
    )


def join_group_scene(scene: Scene) -> None:
    answer = join(scene, scene.new_name(), scene.version)
    assert (answer.generation_id, answer.protocol_name, answer.leader) == (1, "range", answer.member_id)
    assert [member.member_id for member in answer.members] == [answer.member_id]
    assert scene.version < 7 or answer.protocol_type == "consumer"


def sync_group_scene(scene: Scene) -> None:
    group = scene.new_name()
    answer = sync(scene, group, join(scene, group, 5), scene.version)
    assert (answer.error_code, bytes(answer.assignment)) == (0, b"mine")
    assert scene.version < 5 or (answer.protocol_type, answer.protocol_name) == ("consumer", "range")


def heartbeat_scene(scene: Scene) -> None:
    group = scene.new_name()
    joined = join(scene, group, 5)
    sync(scene, group, joined, 3)
    beat = {"group_id": group, "member_id": joined.member_id, "group_instance_id": None}
    assert scene.ask("Heartbeat", generation_id=1, **beat).error_code == 0
    assert scene.ask("Heartbeat", generation_id=7, **beat).error_code == 22
    assert scene.ask("Heartbeat", generation_id=1, **{**beat, "member_id": "stranger"}).error_code == 25


def leave_group_scene(scene: Scene) -> None:
    request = message("LeaveGroupRequest")
    group = scene.new_name()
    joined = join(scene, group, 5)
    sync(scene, group, joined, 3)
    if scene.version < 3:
        assert scene.ask("LeaveGroup", group_id=group, member_id=joined.member_id).error_code == 0
        assert scene.ask("LeaveGroup", group_id=group, member_id=joined.member_id).error_code == 25
        return
    members = [
        request.MemberIdentity(member_id=each, group_instance_id=None) for each in (joined.member_id, "stranger")
    ]
    answer = scene.ask("LeaveGroup", group_id=group, members=members)
    assert (answer.error_code, [each.error_code for each in answer.members]) == (0, [0, 25])


def commit(scene: Scene, group: str, offset: int, version: int) -> Any:
    request = message("OffsetCommitRequest")
    coordinator(scene, group)
    part = request.OffsetCommitRequestTopic.OffsetCommitRequestPartition(
        partition_index=0, committed_offset=offset, committed_leader_epoch=-1, committed_metadata="note"
    )
    topics = [request.OffsetCommitRequestTopic(name=scene.topic, topic_id=scene.topic_id, partitions=[part])]
    fields = {
        "group_id": group,
        "generation_id_or_member_epoch": -1,
        "member_id": "",
        "group_instance_id": None,
        "retention_time_ms": -1,
        "topics": topics,
    }

    def loaded() -> Any:
        answer = scene.ask("OffsetCommit", version, **fields)
        return answer if answer.topics[0].partitions[0].error_code not in (14, 15, 16) else None

    return until("the coordinator's partition", loaded)


def offset_commit_scene(scene: Scene) -> None:
    group = scene.new_name()
    commit(scene, group, 1, 8)
    answer = commit(scene, group, 5, scene.version)
    (found,) = answer.topics
    assert scene.version < 10 or found.topic_id == scene.topic_id
    assert scene.version > 9 or found.name == scene.topic
    assert found.partitions[0].error_code == 0


def offset_fetch_scene(scene: Scene) -> None:
    request = message("OffsetFetchRequest")
    group = scene.new_name()
    commit(scene, group, 5, 8)
    if scene.version < 8:
        topics = [request.OffsetFetchRequestTopic(name=scene.topic, partition_indexes=[0, 1])]
        answer = scene.ask("OffsetFetch", group_id=group, topics=topics, require_stable=False)
        assert scene.version < 2 or answer.error_code == 0
        found = answer.topics[0].partitions
    else:
        groups = request.OffsetFetchRequestGroup
        topic = groups.OffsetFetchRequestTopics(name=scene.topic, topic_id=scene.topic_id, partition_indexes=[0, 1])
        asked = [groups(group_id=group, member_id=None, member_epoch=-1, topics=[topic])]
        answer = scene.ask("OffsetFetch", groups=asked, require_stable=False)
        assert (answer.groups[0].group_id, answer.groups[0].error_code) == (group, 0)
        found = answer.groups[0].topics[0].partitions
        assert scene.version < 10 or answer.groups[0].topics[0].topic_id == scene.topic_id
    offsets = {each.partition_index: (each.committed_offset, each.error_code) for each in found}
    assert offsets == {0: (5, 0), 1: (-1, 0)}
    assert found[0].metadata == "note"


def offset_delete_scene(scene: Scene) -> None:
    request = message("OffsetDeleteRequest")
    group = scene.new_name()
    commit(scene, group, 5, 8)
    topic = request.OffsetDeleteRequestTopic
    topics = [topic(name=scene.topic, partitions=[topic.OffsetDeleteRequestPartition(partition_index=0)])]
    answer = scene.ask("OffsetDelete", group_id=group, topics=topics)
    assert (answer.error_code, answer.topics[0].partitions[0].error_code) == (0, 0)
    missing = scene.ask("OffsetDelete", group_id=scene.new_name(), topics=topics)
    assert missing.error_code == 69


def describe_groups_scene(scene: Scene) -> None:
    group = scene.new_name()
    joined = join(scene, group, 5)
    sync(scene, group, joined, 3)
    unknown = scene.new_name()
    answer = scene.ask("DescribeGroups", groups=[group, unknown], include_authorized_operations=True)
    found = {each.group_id: each for each in answer.groups}
    assert (found[group].error_code, found[group].group_state) == (0, "Stable")
    assert (found[group].protocol_type, found[group].protocol_data) == ("consumer", "range")
    (member,) = found[group].members
    assert (member.member_id, member.client_id, bytes(member.member_assignment)) == (joined.member_id, "raw", b"mine")
    assert found[unknown].group_state == "Dead"
    assert found[unknown].error_code == (69 if scene.version >= 6 else 0)


def list_groups_scene(scene: Scene) -> None:
    group = scene.new_name()
    joined = join(scene, group, 5)
    sync(scene, group, joined, 3)
    answer = scene.ask("ListGroups", states_filter=[], types_filter=[])
    assert answer.error_code == 0
    (found,) = [each for each in answer.groups if each.group_id == group]
    assert found.protocol_type == "consumer"
    if scene.version >= 4:
        assert found.group_state == "Stable"
        filtered = scene.ask("ListGroups", states_filter=["Empty"], types_filter=[])
        assert group not in {each.group_id for each in filtered.groups}
    if scene.version >= 5:
        assert found.group_type == "classic"


def delete_groups_scene(scene: Scene) -> None:
    group, unknown = scene.new_name(), scene.new_name()
    commit(scene, group, 5, 8)
    answer = scene.ask("DeleteGroups", groups_names=[group, unknown])
    assert {each.group_id: each.error_code for each in answer.results} == {group: 0, unknown: 69}


def api_versions_scene(scene: Scene) -> None:
    answer = scene.ask("ApiVersions", client_software_name="raw", client_software_version="1")
    assert answer.error_code == 0
    assert {0, 1, 2, 3, 18} <= {each.api_key for each in answer.api_keys}


def create_topics_scene(scene: Scene) -> None:
    request = message("CreateTopicsRequest")
    topic = request.CreatableTopic
    name = scene.new_name()
    setting = topic.CreatableTopicConfig(name="retention.ms", value="60000")
    wanted = topic(name=name, num_partitions=2, replication_factor=1, assignments=[], configs=[setting])
    for validate_only, expected in ((True, 0), (False, 0), (False, 36)):
        answer = scene.ask("CreateTopics", topics=[wanted], timeout_ms=10_000, validate_only=validate_only)
        (made,) = answer.topics
        assert (made.name, made.error_code) == (name, expected)
        if expected == 0 and scene.version >= 5:
            assert (made.num_partitions, made.replication_factor) == (2, 1)
            assert {each.name: each.value for each in made.configs}["retention.ms"] == "60000"
        if expected == 36:
            assert made.error_message
        if scene.version >= 7 and expected == 0 and not validate_only:
            assert made.topic_id == id_of(scene.connection, name)


def delete_topics_scene(scene: Scene) -> None:
    request = message("DeleteTopicsRequest")
    if scene.version < 6:
        answer = scene.ask("DeleteTopics", topic_names=[scene.topic, "no-such-topic"], timeout_ms=10_000)
        found = {each.name: each.error_code for each in answer.responses}
        assert found == {scene.topic: 0, "no-such-topic": 3}
        return
    unknown = uuid.UUID(int=12345)
    states = [
        request.DeleteTopicState(name=None, topic_id=scene.topic_id),
        request.DeleteTopicState(name=None, topic_id=unknown),
    ]
    answer = scene.ask("DeleteTopics", topics=states, timeout_ms=10_000)
    assert {each.topic_id: each.error_code for each in answer.responses} == {scene.topic_id: 0, unknown: 100}


def delete_records_scene(scene: Scene) -> None:
    topic = message("DeleteRecordsRequest").DeleteRecordsTopic
    for offset, expected in ((4, (0, 4)), (99, (1, -1)), (-1, (0, 10))):
        part = topic.DeleteRecordsPartition(partition_index=0, offset=offset)
        answer = scene.ask("DeleteRecords", topics=[topic(name=scene.topic, partitions=[part])], timeout_ms=10_000)
        found = answer.topics[0].partitions[0]
        assert (found.error_code, found.low_watermark) == expected
    unknown = topic(name=scene.new_name(), partitions=[topic.DeleteRecordsPartition(partition_index=0, offset=0)])
    answer = scene.ask("DeleteRecords", topics=[unknown], timeout_ms=1000)
    assert answer.topics[0].partitions[0].error_code == 3


def init_producer_id_scene(scene: Scene) -> None:
    fields = {"transactional_id": None, "transaction_timeout_ms": 60_000, "producer_id": -1, "producer_epoch": -1}
    # A new Kafka has to fetch its first block of ids: COORDINATOR_LOAD_IN_PROGRESS until then.
    until("producer ids", lambda: scene.ask("InitProducerId", **fields).error_code not in (14, 15))
    first, second = (scene.ask("InitProducerId", **fields) for _ in range(2))
    assert (first.error_code, first.producer_epoch) == (0, 0)
    assert second.producer_id != first.producer_id


def offset_for_leader_epoch_scene(scene: Scene) -> None:
    topic = message("OffsetForLeaderEpochRequest").OffsetForLeaderTopic
    part = topic.OffsetForLeaderPartition(partition=0, current_leader_epoch=-1, leader_epoch=0)
    unknown = topic.OffsetForLeaderPartition(partition=7, current_leader_epoch=-1, leader_epoch=0)
    topics = [topic(topic=scene.topic, partitions=[part, unknown])]
    answer = scene.ask("OffsetForLeaderEpoch", replica_id=-1, topics=topics)
    found = {each.partition: each for each in answer.topics[0].partitions}
    assert (found[0].error_code, found[0].leader_epoch, found[0].end_offset) == (0, 0, 10)
    assert found[7].error_code == 3


def topic_settings(scene: Scene, version: int = 4) -> dict[str, Any]:
    resource = message("DescribeConfigsRequest").DescribeConfigsResource
    asked = [resource(resource_type=2, resource_name=scene.topic, configuration_keys=None)]
    answer = scene.ask("DescribeConfigs", version, resources=asked, include_synonyms=True, include_documentation=True)
    (found,) = answer.results
    assert (found.error_code, found.resource_type, found.resource_name) == (0, 2, scene.topic)
    return {each.name: each for each in found.configs}


def describe_configs_scene(scene: Scene) -> None:
    settings = topic_settings(scene, scene.version)
    retention = settings["retention.ms"]
    assert (retention.value, retention.config_source, retention.is_sensitive) == ("604800000", 5, False)
    assert any(each.name == "log.retention.hours" for each in retention.synonyms) or not retention.synonyms
    if scene.version >= 3:
        assert (retention.config_type, bool(retention.documentation)) == (5, True)
    resource = message("DescribeConfigsRequest").DescribeConfigsResource
    unknown = [resource(resource_type=2, resource_name=scene.new_name(), configuration_keys=None)]
    assert scene.ask("DescribeConfigs", resources=unknown).results[0].error_code == 3
    some = [resource(resource_type=2, resource_name=scene.topic, configuration_keys=["retention.ms"])]
    (found,) = scene.ask("DescribeConfigs", resources=some).results
    assert [each.name for each in found.configs] == ["retention.ms"]


def alter_configs_scene(scene: Scene) -> None:
    resource = message("AlterConfigsRequest").AlterConfigsResource
    for value, validate_only, expected in (("soon", False, 40), ("1000", True, 0), ("2000", False, 0)):
        setting = resource.AlterableConfig(name="retention.ms", value=value)
        wanted = [resource(resource_type=2, resource_name=scene.topic, configs=[setting])]
        answer = scene.ask("AlterConfigs", resources=wanted, validate_only=validate_only)
        assert answer.responses[0].error_code == expected
    until("the new value", lambda: topic_settings(scene)["retention.ms"].value == "2000")


def incremental_alter_configs_scene(scene: Scene) -> None:
    resource = message("IncrementalAlterConfigsRequest").AlterConfigsResource

    def change(name: str, operation: int, value: str | None) -> int:
        setting = resource.AlterableConfig(name=name, config_operation=operation, value=value)
        wanted = [resource(resource_type=2, resource_name=scene.topic, configs=[setting])]
        answer = scene.ask("IncrementalAlterConfigs", resources=wanted, validate_only=False)
        return int(answer.responses[0].error_code)

    assert change("retention.ms", 0, "3000") == 0
    until("the new value", lambda: topic_settings(scene)["retention.ms"].value == "3000")
    assert change("retention.ms", 1, None) == 0
    until("the default", lambda: topic_settings(scene)["retention.ms"].value == "604800000")
    assert change("retention.ms", 2, "1") == 40, "a number is no list to append to"
    assert change("no.such.setting", 0, "1") == 40


def describe_log_dirs_scene(scene: Scene) -> None:
    answer = scene.ask("DescribeLogDirs", topics=None)
    assert scene.version < 3 or answer.error_code == 0
    (directory,) = answer.results
    assert directory.error_code == 0
    assert scene.version < 4 or directory.total_bytes > directory.usable_bytes > 0
    (found,) = [each for each in directory.topics if each.name == scene.topic]
    assert found.partitions[0].partition_size > 0
    topic = message("DescribeLogDirsRequest").DescribableLogDirTopic
    some = scene.ask("DescribeLogDirs", topics=[topic(topic=scene.topic, partitions=[0])])
    assert [each.name for each in some.results[0].topics] == [scene.topic]


def create_partitions_scene(scene: Scene) -> None:
    topic = message("CreatePartitionsRequest").CreatePartitionsTopic
    for count, validate_only, expected in ((3, True, 0), (3, False, 0), (3, False, 37), (1, False, 37)):
        wanted = [topic(name=scene.topic, count=count, assignments=None)]
        answer = scene.ask("CreatePartitions", topics=wanted, timeout_ms=10_000, validate_only=validate_only)
        assert [(each.name, each.error_code) for each in answer.results] == [(scene.topic, expected)]


def describe_cluster_scene(scene: Scene) -> None:
    fields = {"include_cluster_authorized_operations": True, "endpoint_type": 1, "include_fenced_brokers": False}
    answer = scene.ask("DescribeCluster", **fields)
    assert (answer.error_code, bool(answer.cluster_id), len(answer.brokers)) == (0, True, 1)
    assert answer.controller_id == answer.brokers[0].broker_id


def describe_topic_partitions_scene(scene: Scene) -> None:
    request = message("DescribeTopicPartitionsRequest")
    asked = [request.TopicRequest(name=scene.topic), request.TopicRequest(name="zzz-no-such-topic")]
    answer = scene.ask("DescribeTopicPartitions", topics=asked, response_partition_limit=100, cursor=None)
    found = {each.name: each for each in answer.topics}
    assert (found[scene.topic].error_code, found[scene.topic].topic_id) == (0, scene.topic_id)
    assert [each.partition_index for each in found[scene.topic].partitions] == [0]
    assert found["zzz-no-such-topic"].error_code == 3


SCENES: dict[str, Callable[[Scene], None]] = {
    "Produce": produce_scene,
    "Fetch": fetch_scene,
    "ListOffsets": list_offsets_scene,
    "Metadata": metadata_scene,
    "OffsetCommit": offset_commit_scene,
    "OffsetFetch": offset_fetch_scene,
    "FindCoordinator": find_coordinator_scene,
    "JoinGroup": join_group_scene,
    "Heartbeat": heartbeat_scene,
    "LeaveGroup": leave_group_scene,
    "SyncGroup": sync_group_scene,
    "DescribeGroups": describe_groups_scene,
    "ListGroups": list_groups_scene,
    "ApiVersions": api_versions_scene,
    "CreateTopics": create_topics_scene,
    "DeleteTopics": delete_topics_scene,
    "DeleteRecords": delete_records_scene,
    "InitProducerId": init_producer_id_scene,
    "OffsetForLeaderEpoch": offset_for_leader_epoch_scene,
    "DescribeConfigs": describe_configs_scene,
    "AlterConfigs": alter_configs_scene,
    "DescribeLogDirs": describe_log_dirs_scene,
    "CreatePartitions": create_partitions_scene,
    "DeleteGroups": delete_groups_scene,
    "IncrementalAlterConfigs": incremental_alter_configs_scene,
    "OffsetDelete": offset_delete_scene,
    "DescribeCluster": describe_cluster_scene,
    "DescribeTopicPartitions": describe_topic_partitions_scene,
}


def cases() -> list[tuple[str, int]]:
    found = []
    for name, (_, least, greatest) in PROMISED.items():
        least = 3 if name == "Produce" else least
        greatest = min(greatest, message(f"{name}Request").max_version)
        found += [(name, version) for version in range(least, greatest + 1)]
    return found


@pytest.fixture(scope="module")
def advertised(broker: brokers.Server) -> dict[int, tuple[int, int]]:
    with Connection(broker.port) as connection:
        answer = connection.ask(message("ApiVersionsRequest")(), 0)
    return {each.api_key: (each.min_version, each.max_version) for each in answer.api_keys}


@pytest.mark.parametrize(("name", "version"), cases(), ids=lambda value: str(value))
def test_an_api_in_a_version(
    connect: Connect,
    topic: str,
    new_name: Callable[[], str],
    advertised: dict[int, tuple[int, int]],
    name: str,
    version: int,
) -> None:
    least, greatest = advertised.get(PROMISED[name][0], (1, 0))
    if brokers.is_kafka() and not least <= version <= greatest:
        pytest.skip(f"{brokers.describe()} has no {name} v{version}")
    connection = connect()
    scene = Scene(connection, topic, id_of(connection, topic), version, new_name)
    for start in range(0, 10, 5):
        values = [b"%d" % number for number in range(start, start + 5)]
        data = batches.batch(*values, timestamp=LATELY + start)
        assert produce(connection, topic, data=data).error_code == 0
    SCENES[name](scene)


@pytest.mark.parametrize("name", list(PROMISED))
def test_the_range_of_versions_is_kafkas(advertised: dict[int, tuple[int, int]], name: str) -> None:
    key, least, greatest = PROMISED[name]
    assert key in advertised, f"{name} is not advertised"
    if brokers.is_kafka():
        assert advertised[key][0] == least
        assert advertised[key][1] <= greatest
    else:
        assert advertised[key] == (least, greatest)
