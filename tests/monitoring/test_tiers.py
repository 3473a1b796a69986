"""What a node with a cloud tier tells of it; here with the tier it has by default, a directory of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path

from sprawl_protocol.messages import CreatableTopic, CreatableTopicConfig, CreateTopicsRequest, CreateTopicsResponse
from tests.monitoring.watched import watched


async def test_uploads_are_counted_under_kafkas_names(tmp_path: Path) -> None:
    settings = {
        "remote_log_storage_system_enable": "true",
        "remote_log_manager_task_interval_ms": "50",
        "sprawl_memory_bytes": str(1 << 20),
    }
    async with watched(tmp_path, **settings) as world:
        configs = {"remote.storage.enable": "true", "internal.segment.bytes": "500"}
        topic = CreatableTopic(
            name="orders",
            num_partitions=1,
            replication_factor=1,
            configs=[CreatableTopicConfig(name=name, value=value) for name, value in configs.items()],
        )
        answer = await world.client.request(CreateTopicsRequest(topics=[topic]), expect=CreateTopicsResponse)
        assert answer.topics[0].error_code == 0
        for _ in range(4):
            await world.produce("orders", 20)
        async with asyncio.timeout(60):
            while world.values()["kafka_server_brokertopicmetrics_remotecopyrequests_total"] < 3:
                await asyncio.sleep(0.05)
        found = world.values()
        of_one = '{topic="orders",partition="0"}'
        assert found["sprawl_tier_usable"] == 1
        size = found[f"kafka_server_brokertopicmetrics_remotelogsizebytes{of_one}"]
        assert size == found["kafka_server_brokertopicmetrics_remotecopybytes_total"] > 0
        assert found[f"kafka_server_brokertopicmetrics_remotecopylagsegments{of_one}"] == 0
        assert found["sprawl_tier_cache_hits_total"] == 0


async def test_a_node_without_a_tier_tells_nothing_of_one(tmp_path: Path) -> None:
    async with watched(tmp_path) as world:
        assert not any("tier" in name or "remotecopy" in name for name in world.values())
