"""Topics and their partitions over HTTP."""

from __future__ import annotations

from typing import Any, Final

from sprawl.api.asking import Asking
from sprawl.api.operations import Call, Operation, array, integer, obj, text
from sprawl.api.problems import check
from sprawl_protocol.errors import ErrorCode
from sprawl_protocol.messages import (
    CreatableTopic,
    CreatableTopicConfig,
    CreatePartitionsRequest,
    CreatePartitionsResponse,
    CreatePartitionsTopic,
    CreateTopicsRequest,
    CreateTopicsResponse,
    DeleteTopicsRequest,
    DeleteTopicsResponse,
    DeleteTopicState,
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopic,
    MetadataRequest,
    MetadataRequestTopic,
    MetadataResponse,
    MetadataResponseTopic,
)

TIMEOUT_MS: Final = 30_000
LATEST: Final = -1
EARLIEST: Final = -2
_DEFAULT: Final = -1

TOPIC = obj(
    {
        "name": text(),
        "id": text("Topic id, a UUID.", format="uuid"),
        "internal": {"type": "boolean"},
        "partitions": integer(),
        "replication_factor": integer("Of its first partition."),
    }
)
PARTITION = obj(
    {
        "id": integer("Its number in the topic."),
        "leader": integer("Node id; -1: nobody leads."),
        "leader_epoch": integer(),
        "replicas": array(integer()),
        "in_sync": array(integer()),
    },
    {
        "oldest_offset": integer("Of the oldest record there is; missing if its leader could not tell."),
        "next_offset": integer("Of the next committed record; missing if its leader could not tell."),
    },
)
NEW_TOPIC = obj(
    {"name": text(minLength=1, maxLength=249)},
    {
        "partitions": integer("The cluster's default if it is missing.", minimum=1),
        "replication_factor": integer("The cluster's default if it is missing.", minimum=1),
        "configs": {
            "type": "object",
            "additionalProperties": {"type": ["string", "null"]},
            "description": "Topic settings by Kafka's names.",
        },
        "validate_only": {"type": "boolean", "description": "Only say whether it could be made."},
    },
)


class Topics:
    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    def operations(self) -> list[Operation]:
        one = "/v1/topics/{topic}"
        return [
            Operation("GET", "/v1/topics", "listTopics", "All topics, by name.", self.every, array(TOPIC)),
            Operation(
                "POST",
                "/v1/topics",
                "createTopic",
                "Make a topic.",
                self.create,
                TOPIC,
                status=201,
                body=NEW_TOPIC,
                problems=(409, 422),
            ),
            Operation("GET", one, "describeTopic", "One topic.", self.describe, TOPIC, problems=(404,)),
            Operation("DELETE", one, "deleteTopic", "Delete a topic with all records.", self.delete, problems=(404,)),
            Operation(
                "GET",
                f"{one}/partitions",
                "listPartitions",
                "Its partitions, with where their records begin and end.",
                self.partitions,
                array(PARTITION),
                problems=(404,),
            ),
            Operation(
                "POST",
                f"{one}/partitions",
                "addPartitions",
                "Have more partitions: `count` in all. There is no way back.",
                self.grow,
                TOPIC,
                body=obj({"count": integer("In all.", minimum=1)}),
                problems=(404,),
            ),
        ]

    async def every(self, call: Call) -> list[dict[str, Any]]:
        answer = await self._asking.ask(call.caller, MetadataRequest(topics=None), MetadataResponse)
        return [_told(each) for each in sorted(answer.topics, key=lambda each: each.name or "") if not each.error_code]

    async def describe(self, call: Call) -> dict[str, Any]:
        return _told(await self._metadata(call, call.path["topic"]))

    async def create(self, call: Call) -> dict[str, Any]:
        body = call.body
        wanted = CreatableTopic(
            name=body["name"],
            num_partitions=body.get("partitions", _DEFAULT),
            replication_factor=body.get("replication_factor", _DEFAULT),
            configs=[CreatableTopicConfig(name=name, value=value) for name, value in body.get("configs", {}).items()],
        )
        request = CreateTopicsRequest(
            topics=[wanted], timeout_ms=TIMEOUT_MS, validate_only=body.get("validate_only", False)
        )
        made = (await self._asking.ask(call.caller, request, CreateTopicsResponse)).topics[0]
        check(made.error_code, made.error_message)
        return {
            "name": made.name,
            "id": str(made.topic_id),
            "internal": False,
            "partitions": made.num_partitions,
            "replication_factor": made.replication_factor,
        }

    async def delete(self, call: Call) -> None:
        request = DeleteTopicsRequest(topics=[DeleteTopicState(name=call.path["topic"])], timeout_ms=TIMEOUT_MS)
        done = (await self._asking.ask(call.caller, request, DeleteTopicsResponse)).responses[0]
        check(done.error_code, done.error_message or f"topic {call.path['topic']!r}: {_words(done.error_code)}")

    async def grow(self, call: Call) -> dict[str, Any]:
        wanted = CreatePartitionsTopic(name=call.path["topic"], count=call.body["count"], assignments=None)
        request = CreatePartitionsRequest(topics=[wanted], timeout_ms=TIMEOUT_MS)
        done = (await self._asking.ask(call.caller, request, CreatePartitionsResponse)).results[0]
        check(done.error_code, done.error_message)
        return await self.describe(call)

    async def partitions(self, call: Call) -> list[dict[str, Any]]:
        topic = await self._metadata(call, call.path["topic"])
        indexes = [each.partition_index for each in topic.partitions]
        oldest = await self.offsets(call, {call.path["topic"]: indexes}, EARLIEST)
        newest = await self.offsets(call, {call.path["topic"]: indexes}, LATEST)
        told = []
        for each in sorted(topic.partitions, key=lambda each: each.partition_index):
            one: dict[str, Any] = {
                "id": each.partition_index,
                "leader": each.leader_id,
                "leader_epoch": each.leader_epoch,
                "replicas": each.replica_nodes,
                "in_sync": each.isr_nodes,
            }
            place = call.path["topic"], each.partition_index
            if place in oldest and place in newest:
                one |= {"oldest_offset": oldest[place], "next_offset": newest[place]}
            told.append(one)
        return told

    async def partitions_of(self, call: Call, name: str) -> range:
        """Their numbers. Raises `Problem`."""
        return range(len((await self._metadata(call, name)).partitions))

    async def offsets(self, call: Call, wanted: dict[str, list[int]], timestamp: int) -> dict[tuple[str, int], int]:
        """Of those partitions whose leader tells."""
        request = ListOffsetsRequest(
            replica_id=-1,
            topics=[
                ListOffsetsTopic(
                    name=name, partitions=[ListOffsetsPartition(partition_index=at, timestamp=timestamp) for at in some]
                )
                for name, some in wanted.items()
            ],
        )
        answer = await self._asking.ask(call.caller, request, ListOffsetsResponse)
        return {
            (topic.name, each.partition_index): each.offset
            for topic in answer.topics
            for each in topic.partitions
            if not each.error_code
        }

    async def _metadata(self, call: Call, name: str) -> MetadataResponseTopic:
        request = MetadataRequest(topics=[MetadataRequestTopic(name=name)], allow_auto_topic_creation=False)
        found = (await self._asking.ask(call.caller, request, MetadataResponse)).topics[0]
        if found.error_code != ErrorCode.LEADER_NOT_AVAILABLE:
            check(found.error_code, f"topic {name!r}: {_words(found.error_code)}")
        return found


def _told(topic: MetadataResponseTopic) -> dict[str, Any]:
    return {
        "name": topic.name,
        "id": str(topic.topic_id),
        "internal": topic.is_internal,
        "partitions": len(topic.partitions),
        "replication_factor": len(topic.partitions[0].replica_nodes) if topic.partitions else 0,
    }


def _words(code: int) -> str:
    return ErrorCode(code).name.replace("_", " ").lower()
