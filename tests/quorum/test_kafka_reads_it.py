"""Kafka's own tool reads our metadata log and snapshots, records of every kind, where Java and Kafka are at hand."""

from __future__ import annotations

import json
import re
from pathlib import Path
from uuid import UUID

from sprawl.quorum.batches import Control, control_batch, data_batch
from sprawl.quorum.delta import apply
from sprawl.quorum.image import MetadataImage
from sprawl.quorum.records import (
    RECORDS,
    BrokerEndpoint,
    BrokerRegistrationChangeRecord,
    ConfigRecord,
    FeatureLevelRecord,
    FenceBrokerRecord,
    MetadataRecord,
    NoOpRecord,
    PartitionChangeRecord,
    PartitionRecord,
    ProducerIdsRecord,
    RegisterBrokerRecord,
    RemoveTopicRecord,
    TopicRecord,
    UnfenceBrokerRecord,
    UnregisterBrokerRecord,
)
from sprawl.quorum.snapshots import Snapshot, SnapshotId, write_snapshot
from sprawl_protocol.messages import KRaftVersionRecord, LeaderChangeMessage, Voter, VotersRecord, VotersRecordVoter
from tests.kafka_tools import dump_log_segments, needs_kafka

pytestmark = needs_kafka

ID, OTHER = UUID(int=0x1234_5678 << 64), UUID(int=0x9ABC_DEF0 << 64)
VOTERS = VotersRecord(voters=[VotersRecordVoter(voter_id=1, voter_directory_id=ID)])
RECORDED: list[MetadataRecord] = [
    FeatureLevelRecord(name="metadata.version", feature_level=29),
    RegisterBrokerRecord(
        broker_id=1,
        broker_epoch=4,
        incarnation_id=ID,
        end_points=[BrokerEndpoint(name="PLAINTEXT", host="localhost", port=9092)],
        rack="r",
        log_dirs=[OTHER],
    ),
    BrokerRegistrationChangeRecord(broker_id=1, broker_epoch=4, fenced=-1, in_controlled_shutdown=1, log_dirs=[ID]),
    FenceBrokerRecord(id=1, epoch=4),
    UnfenceBrokerRecord(id=1, epoch=4),
    TopicRecord(name="topic", topic_id=ID),
    PartitionRecord(
        partition_id=0,
        topic_id=ID,
        replicas=[1, 2],
        isr=[1],
        leader=1,
        leader_epoch=3,
        partition_epoch=5,
        directories=[ID, OTHER],
        eligible_leader_replicas=[2],
        last_known_elr=[2],
        leader_recovery_state=1,
    ),
    PartitionChangeRecord(
        partition_id=0,
        topic_id=ID,
        isr=[1, 2],
        leader=2,
        replicas=[2, 1],
        adding_replicas=[3],
        removing_replicas=[1],
        leader_recovery_state=0,
        directories=[OTHER, ID],
        eligible_leader_replicas=[],
        last_known_elr=[1],
    ),
    ConfigRecord(resource_type=2, resource_name="topic", name="retention.ms", value="5"),
    ConfigRecord(resource_type=2, resource_name="topic", name="retention.ms", value=None),
    ProducerIdsRecord(broker_id=1, broker_epoch=4, next_producer_id=1000),
    RemoveTopicRecord(topic_id=ID),
    UnregisterBrokerRecord(broker_id=1, broker_epoch=4),
    NoOpRecord(),
]


def dump(path: Path) -> str:
    return dump_log_segments(path, "--cluster-metadata-decoder")


def payloads(text: str) -> list[dict[str, object]]:
    return [json.loads(each) for each in re.findall(r"payload: (\{.*\})$", text, re.MULTILINE)]


def test_kafka_reads_the_log(tmp_path: Path) -> None:
    assert {type(each) for each in RECORDED} == set(RECORDS.values()), "every kind of record"
    me = Voter(voter_id=1)
    controls: list[Control] = [
        LeaderChangeMessage(leader_id=1, voters=[me], granting_voters=[me]),
        KRaftVersionRecord(k_raft_version=1),
        VOTERS,
    ]
    path = tmp_path / "__cluster_metadata-0" / f"{0:020d}.log"
    path.parent.mkdir()
    path.write_bytes(control_batch(controls, 0, 1, 0) + data_batch(RECORDED, len(controls), 1, 0))
    text = dump(path)
    assert all(word in text for word in ("LeaderChange", "KRaftVersion", "KRaftVoters"))
    found = payloads(text)
    kinds = [re.sub(r"(?<!^)(?=[A-Z])", "_", type(each).__name__).upper() for each in RECORDED]
    assert [each["type"] for each in found] == kinds
    change = found[7]["data"]
    assert isinstance(change, dict)
    assert (change["isr"], change["leader"], change["replicas"]) == ([1, 2], 2, [2, 1])
    assert (change["addingReplicas"], change["eligibleLeaderReplicas"], change["lastKnownElr"]) == ([3], [], [1])


def test_kafka_reads_a_snapshot(tmp_path: Path) -> None:
    image = apply(MetadataImage("cluster"), RECORDED[:8] + RECORDED[8:9] + RECORDED[10:11], offset=41, epoch=7)
    path = tmp_path / "__cluster_metadata-0" / SnapshotId(42, 7).file_name
    path.parent.mkdir()
    path.write_bytes(write_snapshot(Snapshot(image, VOTERS), 0))
    text = dump(path)
    assert "Snapshot end offset: 42, epoch: 7" in text
    assert text.index("SnapshotHeader") < text.index("KRaftVoters") < text.index("SnapshotFooter")
    assert [each["type"] for each in payloads(text)] == [
        "FEATURE_LEVEL_RECORD",
        "REGISTER_BROKER_RECORD",
        "TOPIC_RECORD",
        "PARTITION_RECORD",
        "CONFIG_RECORD",
        "PRODUCER_IDS_RECORD",
    ]
