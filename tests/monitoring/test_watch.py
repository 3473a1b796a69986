"""What the watch over a real node tells, by the names that dashboards ask for."""

from __future__ import annotations

from pathlib import Path

from tests.monitoring.watched import watched


async def test_a_node_tells_of_its_partitions_and_of_the_cluster(tmp_path: Path) -> None:
    async with watched(tmp_path) as world:
        await world.create("orders", partitions=2)
        await world.produce("orders", 7)
        found = world.values()
        of_one = '{topic="orders",partition="0"}'
        assert found[f"kafka_topic_partition_current_offset{of_one}"] == 7
        assert found[f"kafka_log_log_size{of_one}"] > 0
        assert found[f"kafka_cluster_partition_underminisr{of_one}"] == 0
        assert found[f"kafka_topic_partition_leader_is_preferred{of_one}"] == 1
        assert found['kafka_topic_partitions{topic="orders"}'] == 2
        assert found['kafka_server_brokertopicmetrics_messagesin_total{topic="orders"}'] == 7
        assert found["kafka_brokers"] == 1
        assert found["kafka_controller_kafkacontroller_activecontrollercount"] == 1
        assert found["kafka_controller_kafkacontroller_offlinepartitionscount"] == 0
        assert found["kafka_server_replicamanager_leadercount"] == 2
        assert found["kafka_server_replicamanager_offlinereplicacount"] == 0
        assert found["sprawl_quorum_margin"] == 0
        assert found['kafka_server_socket_server_metrics_connection_count{listener="PLAINTEXT"}'] == 1
        assert found['kafka_server_raftmetrics_current_state{current_state="leader"}'] == 1
        assert found["sprawl_disk_free_bytes"] > 0
        assert found["sprawl_events_waiting"] == found["sprawl_events_dropped_total"] == 0


async def test_the_lag_of_a_group_is_told_in_records_and_in_seconds(tmp_path: Path) -> None:
    async with watched(tmp_path) as world:
        await world.create("orders")
        await world.produce("orders", 7)
        await world.coordinated("billing")
        await world.commit("billing", "orders", 3)
        await world.watch.look()
        await world.watch.look()
        found = world.values()
        of_one = '{consumergroup="billing",topic="orders",partition="0"}'
        assert found[f"kafka_consumergroup_current_offset{of_one}"] == 3
        assert found[f"kafka_consumergroup_lag{of_one}"] == 4
        assert found['kafka_consumergroup_lag_sum{consumergroup="billing",topic="orders"}'] == 4
        assert found[f"sprawl_consumergroup_lag_seconds{of_one}"] > 0
        assert found['kafka_consumergroup_members{consumergroup="billing"}'] == 0
        await world.commit("billing", "orders", 7)
        await world.watch.look()
        assert world.values()[f"sprawl_consumergroup_lag_seconds{of_one}"] == 0


async def test_topics_that_are_gone_are_told_of_no_more(tmp_path: Path) -> None:
    async with watched(tmp_path) as world:
        await world.create("orders")
        await world.produce("orders", 1)
        await world.delete("orders")
        await world.watch.look()
        assert not [name for name in world.values() if "orders" in name]
