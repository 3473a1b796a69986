"""What compaction has done is told under the names of Kafka's log cleaner, and more."""

from __future__ import annotations

import asyncio
from pathlib import Path

from sprawl_protocol.messages import (
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
    CreateTopicsResponse,
    PartitionProduceData,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from sprawl_protocol.records import Record, build_batch
from tests.monitoring.watched import watched


async def test_a_run_of_compaction_is_counted(tmp_path: Path) -> None:
    async with watched(tmp_path, log_cleaner_backoff_ms="50", sprawl_scrub_interval_ms="100") as world:
        configs = {"cleanup.policy": "compact", "internal.segment.bytes": "500", "min.cleanable.dirty.ratio": "0"}
        given = [CreatableTopicConfig(name=name, value=value) for name, value in configs.items()]
        topic = CreatableTopic(name="table", num_partitions=1, replication_factor=1, configs=given)
        made = await world.client.request(CreateTopicsRequest(topics=[topic]), expect=CreateTopicsResponse)
        assert made.topics[0].error_code == 0
        for n in range(20):
            data = PartitionProduceData(index=0, records=build_batch([Record(0, 1_000 + n, b"key", bytes(100))]))
            topics = [TopicProduceData(name="table", partition_data=[data])]
            sent = ProduceRequest(acks=-1, timeout_ms=5000, topic_data=topics)
            answer = await world.client.request(sent, expect=ProduceResponse, version=12)
            assert answer.responses[0].partition_responses[0].error_code == 0, answer
        async with asyncio.timeout(60):
            while not (world.values()["sprawl_compaction_runs_total"] and world.values()["sprawl_scrub_bytes_total"]):
                await asyncio.sleep(0.05)
        found = world.values()
        assert found["sprawl_compaction_freed_bytes_total"] > 0
        assert found["sprawl_compaction_failures_total"] == found["sprawl_scrub_damaged_total"] == 0
        assert found["kafka_log_logcleanermanager_uncleanable_partitions_count"] == 0
        assert 0 <= found["kafka_log_logcleanermanager_max_dirty_percent"] <= 100
