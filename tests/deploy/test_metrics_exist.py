"""What dashboard and rules ask for is there: each metric they name is one that a real node tells."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from sprawl.observability.alerts import Rule
from sprawl.observability.conditions import built_in
from tests.monitoring.watched import watched

DEPLOY = Path(__file__).parents[2] / "deploy"
NAME = re.compile(r"\b((?:kafka|sprawl|process)_[a-z0-9_]+)\b")
STRIMZI = """
kafka_broker_info kafka_brokers kafka_cluster_partition_atminisr kafka_cluster_partition_replicascount
kafka_cluster_partition_underminisr kafka_consumergroup_current_offset kafka_consumergroup_lag
kafka_controller_kafkacontroller_activecontrollercount kafka_controller_kafkacontroller_offlinepartitionscount
kafka_log_log_size kafka_network_socketserver_networkprocessoravgidle_percent
kafka_server_brokertopicmetrics_bytesin_total kafka_server_brokertopicmetrics_bytesout_total
kafka_server_brokertopicmetrics_failedfetchrequests_total kafka_server_brokertopicmetrics_failedproducerequests_total
kafka_server_brokertopicmetrics_messagesin_total kafka_server_brokertopicmetrics_totalfetchrequests_total
kafka_server_brokertopicmetrics_totalproducerequests_total
kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent
kafka_server_kafkaserver_linux_disk_read_bytes kafka_server_kafkaserver_linux_disk_write_bytes
kafka_server_raftmetrics_current_epoch kafka_server_raftmetrics_current_leader kafka_server_raftmetrics_current_state
kafka_server_raftmetrics_high_watermark kafka_server_raftmetrics_log_end_offset
kafka_server_replicamanager_leadercount kafka_server_replicamanager_partitioncount
kafka_server_replicamanager_underreplicatedpartitions kafka_server_socket_server_metrics_connection_count
kafka_topic_partition_current_offset kafka_topic_partition_in_sync_replica kafka_topic_partition_leader_is_preferred
kafka_topic_partition_oldest_offset kafka_topic_partition_replicas kafka_topic_partition_under_replicated_partition
kafka_topic_partitions process_open_fds
"""
"""What Strimzi's dashboards for Kafka, KRaft and kafka_exporter, and kafka_exporter's own one, query, but for what only
a JVM has and for what docs/monitoring.md says is missing."""


def metrics_in(expression: str) -> set[str]:
    """Label names and values are no metrics."""
    bare = re.sub(r"\{[^}]*\}|by \([^)]*\)", "", expression)
    return {re.sub(r"_bucket$", "", name) for name in NAME.findall(bare)}


def asked_by_dashboard() -> set[str]:
    board = json.loads((DEPLOY / "grafana/sprawl.json").read_text())
    queries = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    queries += [each["definition"] for each in board["templating"]["list"] if "definition" in each]
    return set().union(*map(metrics_in, queries))


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((DEPLOY / "prometheus/rules.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


async def test_what_dashboards_and_rules_ask_for_is_told(tmp_path: Path) -> None:
    asked = asked_by_dashboard() | set().union(*(metrics_in(rule["expr"]) for rule in rules())) | set(STRIMZI.split())
    tier = {"remote_log_storage_system_enable": "true"}
    async with watched(tmp_path, **tier) as world:
        assert sorted(asked - world.node.metrics.names) == []
        assert len(asked) > 50


def test_panels_have_places_and_numbers_of_their_own() -> None:
    panels = json.loads((DEPLOY / "grafana/sprawl.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


@pytest.mark.parametrize("rule", built_in(), ids=lambda rule: rule.name)
def test_each_built_in_alert_has_its_prometheus_rule(rule: Rule) -> None:

    found = {each["alert"]: each for each in rules()}[rule.name]
    assert found["labels"]["severity"] == rule.severity
    seconds = {"s": 1, "m": 60}[found["for"][-1]] * int(found["for"][:-1])
    assert seconds == rule.after
