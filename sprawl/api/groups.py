"""Consumer groups and their lag over HTTP."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from sprawl.api.asking import Asking
from sprawl.api.operations import Call, Operation, array, integer, nullable, obj, text
from sprawl.api.problems import check
from sprawl.api.topics import LATEST, Topics
from sprawl_protocol.errors import ProtocolError
from sprawl_protocol.messages import (
    ConsumerProtocolAssignment,
    DeleteGroupsRequest,
    DeleteGroupsResponse,
    DescribeGroupsRequest,
    DescribeGroupsResponse,
    ListGroupsRequest,
    ListGroupsResponse,
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchResponse,
)

GROUP = obj({"id": text(), "state": text(), "type": text(), "protocol_type": text()})
ASSIGNED = obj({"topic": text(), "partitions": array(integer())})
MEMBER = obj(
    {
        "id": text(),
        "instance_id": nullable("string", "Of a static member."),
        "client_id": text(),
        "host": text(),
        "assigned": array(ASSIGNED),
    }
)
DESCRIBED = obj(
    {
        "id": text(),
        "state": text(),
        "protocol_type": text(),
        "assignor": text("What its members share partitions out by."),
        "members": array(MEMBER),
    }
)
LAG = obj(
    {
        "topic": text(),
        "partition": integer(),
        "committed_offset": integer(),
        "next_offset": nullable("integer", "Where the partition ends; null: its leader could not tell."),
        "lag": nullable("integer", "Records that are there and not read."),
        "lag_seconds": nullable("number", "How long ago the next one to read had come; null: not known here."),
    }
)
Seconds = Callable[[str], Mapping[tuple[str, int], float]]
"""Of a group, by topic and partition, as far as this node has measured them."""


class Groups:
    def __init__(self, asking: Asking, topics: Topics, seconds: Seconds) -> None:
        self._asking = asking
        self._topics = topics
        self._seconds = seconds

    def operations(self) -> list[Operation]:
        one = "/v1/groups/{group}"
        return [
            Operation("GET", "/v1/groups", "listGroups", "All groups of all brokers.", self.every, array(GROUP)),
            Operation("GET", one, "describeGroup", "One group.", self.describe, DESCRIBED, problems=(404,)),
            Operation(
                "DELETE", one, "deleteGroup", "Delete a group without members.", self.delete, problems=(404, 409)
            ),
            Operation(
                "GET",
                f"{one}/lag",
                "describeLag",
                "How far a group is behind, by partition.",
                self.lag,
                array(LAG),
                problems=(404,),
            ),
        ]

    async def every(self, call: Call) -> list[dict[str, Any]]:
        answer = await self._asking.ask(call.caller, ListGroupsRequest(), ListGroupsResponse)
        check(answer.error_code)
        return [
            {
                "id": each.group_id,
                "state": each.group_state,
                "type": each.group_type,
                "protocol_type": each.protocol_type,
            }
            for each in sorted(answer.groups, key=lambda each: each.group_id)
        ]

    async def describe(self, call: Call) -> dict[str, Any]:
        request = DescribeGroupsRequest(groups=[call.path["group"]])
        found = (await self._asking.ask(call.caller, request, DescribeGroupsResponse)).groups[0]
        check(found.error_code, found.error_message)
        return {
            "id": found.group_id,
            "state": found.group_state,
            "protocol_type": found.protocol_type,
            "assignor": found.protocol_data,
            "members": [
                {
                    "id": each.member_id,
                    "instance_id": each.group_instance_id,
                    "client_id": each.client_id,
                    "host": each.client_host,
                    "assigned": _assigned(bytes(each.member_assignment)),
                }
                for each in found.members
            ],
        }

    async def delete(self, call: Call) -> None:
        request = DeleteGroupsRequest(groups_names=[call.path["group"]])
        done = (await self._asking.ask(call.caller, request, DeleteGroupsResponse)).results[0]
        check(done.error_code, done.error_message)

    async def lag(self, call: Call) -> list[dict[str, Any]]:
        group = call.path["group"]
        request = OffsetFetchRequest(groups=[OffsetFetchRequestGroup(group_id=group, topics=None)])
        found = (await self._asking.ask(call.caller, request, OffsetFetchResponse)).groups[0]
        check(found.error_code)
        committed = {
            (topic.name, each.partition_index): each.committed_offset
            for topic in found.topics
            for each in topic.partitions
            if not each.error_code and each.committed_offset >= 0
        }
        if not committed:
            await self.describe(call)  # refused if there is no such group
        wanted: dict[str, list[int]] = defaultdict(list)
        for topic, partition in sorted(committed):
            wanted[topic].append(partition)
        ends = await self._topics.offsets(call, wanted, LATEST) if wanted else {}
        seconds = self._seconds(group)
        return [
            {
                "topic": place[0],
                "partition": place[1],
                "committed_offset": committed[place],
                "next_offset": ends.get(place),
                "lag": max(ends[place] - committed[place], 0) if place in ends else None,
                "lag_seconds": seconds.get(place),
            }
            for place in sorted(committed)
        ]


def _assigned(assignment: bytes) -> list[dict[str, Any]]:
    """As the consumer protocol has it; nothing where members speak another one."""
    if len(assignment) < 2:
        return []
    version = min(int.from_bytes(assignment[:2], "big"), ConsumerProtocolAssignment.MAX_VERSION)
    try:
        parsed = ConsumerProtocolAssignment.parse(assignment[2:], version)
    except ProtocolError:
        return []
    return [{"topic": each.topic, "partitions": list(each.partitions)} for each in parsed.assigned_partitions]
