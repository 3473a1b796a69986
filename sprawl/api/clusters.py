"""The cluster and its brokers over HTTP."""

from __future__ import annotations

from typing import Any

from sprawl.api.asking import Asking
from sprawl.api.operations import Call, Operation, array, integer, nullable, obj, text
from sprawl.api.problems import Problem, check
from sprawl_protocol.messages import DescribeClusterRequest, DescribeClusterResponse, MetadataRequest, MetadataResponse

BROKER = obj(
    {
        "id": integer("Node id."),
        "host": text(),
        "port": integer(),
        "rack": nullable("string"),
        "fenced": {"type": "boolean", "description": "It is not heard of, and leads nothing."},
        "controller": {"type": "boolean"},
    }
)
CLUSTER = obj(
    {
        "id": text("Cluster id."),
        "controller": integer("Node id of the active controller; -1: there is none now."),
        "brokers": integer("How many are registered."),
        "topics": integer(),
        "partitions": integer(),
        "leaderless_partitions": integer("Partitions that nobody leads."),
        "under_replicated_partitions": integer("Partitions of which some replica is not in sync."),
    }
)


class Clusters:
    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    def operations(self) -> list[Operation]:
        return [
            Operation("GET", "/v1/cluster", "describeCluster", "The cluster at a glance.", self.cluster, CLUSTER),
            Operation("GET", "/v1/brokers", "listBrokers", "All registered brokers.", self.brokers, array(BROKER)),
            Operation(
                "GET",
                "/v1/brokers/{broker}",
                "describeBroker",
                "One broker.",
                self.broker,
                BROKER,
                parts={"broker": integer(minimum=0)},
                problems=(404,),
            ),
        ]

    async def cluster(self, call: Call) -> dict[str, Any]:
        described = await self._describe(call)
        metadata = await self._asking.ask(call.caller, MetadataRequest(topics=None), MetadataResponse)
        partitions = [each for topic in metadata.topics for each in topic.partitions]
        return {
            "id": described.cluster_id,
            "controller": metadata.controller_id,
            "brokers": len(described.brokers),
            "topics": len(metadata.topics),
            "partitions": len(partitions),
            "leaderless_partitions": sum(each.leader_id < 0 for each in partitions),
            "under_replicated_partitions": sum(len(each.isr_nodes) < len(each.replica_nodes) for each in partitions),
        }

    async def brokers(self, call: Call) -> list[dict[str, Any]]:
        described = await self._describe(call)
        metadata = await self._asking.ask(call.caller, MetadataRequest(topics=[]), MetadataResponse)
        return [
            {
                "id": each.broker_id,
                "host": each.host,
                "port": each.port,
                "rack": each.rack,
                "fenced": each.is_fenced,
                "controller": each.broker_id == metadata.controller_id,
            }
            for each in sorted(described.brokers, key=lambda each: each.broker_id)
        ]

    async def broker(self, call: Call) -> dict[str, Any]:
        for each in await self.brokers(call):
            if each["id"] == call.path["broker"]:
                return each
        raise Problem(404, f"there is no broker {call.path['broker']}")

    async def _describe(self, call: Call) -> DescribeClusterResponse:
        request = DescribeClusterRequest(include_fenced_brokers=True)
        answer = await self._asking.ask(call.caller, request, DescribeClusterResponse)
        check(answer.error_code, answer.error_message)
        return answer
