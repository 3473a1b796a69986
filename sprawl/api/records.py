"""Producing and consuming over HTTP, and the event topic read as a list.

A key, a value or a header is a JSON string where its bytes are UTF-8, `{"base64": "..."}` otherwise, and null where
there is none; what was read may be produced again as it is. A value may also be given as `{"json": ...}`.
"""

from __future__ import annotations

import base64
import binascii
import json
import random
from collections import defaultdict
from typing import Any, Final

from sprawl.api.asking import Asking
from sprawl.api.operations import Call, Operation, Parameter, array, integer, obj, text
from sprawl.api.problems import Problem, check
from sprawl.api.topics import EARLIEST, LATEST, TIMEOUT_MS, Topics
from sprawl.quorum.image import EVENTS_TOPIC
from sprawl.runtime import Clock
from sprawl_protocol.errors import ErrorCode, ProtocolError
from sprawl_protocol.keys import partition_of
from sprawl_protocol.messages import (
    FetchPartition,
    FetchRequest,
    FetchTopic,
    PartitionData,
    PartitionProduceData,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from sprawl_protocol.primitives import Buffer
from sprawl_protocol.records import Record, build_batch, headers, records_of

MOST_RECORDS: Final = 1000
_FETCH_BYTES: Final = 1024 * 1024
_MOST_DECOMPRESSED: Final = 16 * 1024 * 1024
_READ_COMMITTED: Final = 1
_ACKS_ALL: Final = -1

_BASE64 = {**obj({"base64": text()}), "title": 'an object {"base64": ...}'}
_JSON = {**obj({"json": {}}), "title": 'an object {"json": ...}'}
_NULL = {"type": "null", "title": "null"}
_TEXT = {"type": "string", "title": "a string"}
BYTES = {"oneOf": [_TEXT, _BASE64, _NULL], "description": "UTF-8 as a string, other bytes in base64."}
GIVEN = {"oneOf": [_TEXT, _BASE64, _JSON, _NULL], "description": "UTF-8 as a string, bytes in base64, or JSON."}
HEADER = obj({"name": text(), "value": BYTES})
NEW_RECORD = obj(
    {"value": GIVEN},
    {
        "key": GIVEN,
        "headers": array(HEADER),
        "partition": integer("By the hash of the key if it is missing; without a key, any.", minimum=0),
        "timestamp": integer("Milliseconds since the epoch; now if it is missing.", minimum=0),
    },
)
PLACED = obj({"partition": integer(), "offset": integer()})
RECORD = obj(
    {
        "offset": integer(),
        "timestamp": integer("Milliseconds since the epoch; -1: none."),
        "key": BYTES,
        "value": BYTES,
        "headers": array(HEADER),
    }
)
READ = obj(
    {
        "records": array(RECORD),
        "next_offset": integer("Where to go on reading."),
        "end_offset": integer("Where committed records end."),
    }
)
EVENT = {
    "type": "object",
    "properties": {
        "id": text(),
        "time": integer("Milliseconds since the epoch."),
        "node": integer(),
        "kind": text(),
        "subject": text(),
        "reason": text(),
    },
    "required": ["id", "time", "kind", "subject"],
    "additionalProperties": True,
}
_LIMIT = Parameter("limit", integer(minimum=1, maximum=MOST_RECORDS), "How many at most.", 100)
_OFFSET = Parameter(
    "offset",
    {"type": "string", "pattern": "^(earliest|latest|[0-9]{1,19})$"},
    "Where to begin: an offset, `earliest` or `latest`.",
    "earliest",
)
_WAIT = Parameter("wait_ms", integer(minimum=0, maximum=30_000), "How long to wait for a first record.", 0)


class Records:
    def __init__(self, asking: Asking, topics: Topics, clock: Clock, rng: random.Random) -> None:
        self._asking = asking
        self._topics = topics
        self._clock = clock
        self._rng = rng

    def operations(self) -> list[Operation]:
        return [
            Operation(
                "POST",
                "/v1/topics/{topic}/records",
                "produce",
                "Append records; answered once all in-sync replicas have them.",
                self.produce,
                array(PLACED),
                body=obj({"records": array(NEW_RECORD, minItems=1, maxItems=MOST_RECORDS)}),
                problems=(404, 413),
            ),
            Operation(
                "GET",
                "/v1/topics/{topic}/partitions/{partition}/records",
                "consume",
                "Read records from an offset on, without a group.",
                self.consume,
                READ,
                parts={"partition": integer(minimum=0, maximum=2**31 - 1)},
                query=(_OFFSET, _LIMIT, _WAIT),
                problems=(404, 416),
            ),
            Operation(
                "GET",
                "/v1/events",
                "listEvents",
                "What the cluster did on its own and why, the latest last.",
                self.events,
                array(EVENT),
                query=(_LIMIT,),
            ),
        ]

    async def produce(self, call: Call) -> list[dict[str, int]]:
        name = call.path["topic"]
        count = len(await self._topics.partitions_of(call, name))
        by_partition: dict[int, list[tuple[int, Record]]] = defaultdict(list)
        anywhere = self._rng.randrange(count)
        for at, given in enumerate(call.body["records"]):
            record = _record(given, len(by_partition), self._clock.wall_ms(), f"the body.records[{at}]")
            keyed = record.key is not None
            index = given.get("partition", partition_of(bytes(record.key or b""), count) if keyed else anywhere)
            record.offset = len(by_partition[index])
            by_partition[index].append((at, record))
        data = [
            PartitionProduceData(index=index, records=build_batch([record for _, record in some]))
            for index, some in by_partition.items()
        ]
        topic_data = [TopicProduceData(name=name, partition_data=data)]
        request = ProduceRequest(acks=_ACKS_ALL, timeout_ms=TIMEOUT_MS, topic_data=topic_data)
        answer = await self._asking.ask(call.caller, request, ProduceResponse)
        placed: dict[int, dict[str, int]] = {}
        for each in answer.responses[0].partition_responses:
            if each.error_code and len(by_partition) > 1:
                told = f"partition {each.index}: {each.error_message or ''}; other partitions may have their records"
                check(each.error_code, told)
            check(each.error_code, each.error_message)
            for at, record in by_partition[each.index]:
                placed[at] = {"partition": each.index, "offset": each.base_offset + record.offset}
        return [placed[at] for at in sorted(placed)]

    async def consume(self, call: Call) -> dict[str, Any]:
        topic, partition = call.path["topic"], call.path["partition"]
        begin = call.query["offset"]
        if begin in ("earliest", "latest"):
            offset = await self._end(call, topic, partition, EARLIEST if begin == "earliest" else LATEST)
        else:
            offset = int(begin)
        data = await self._fetch(call, topic, partition, offset, call.query["wait_ms"])
        records = _records(data.records, offset, call.query["limit"])
        return {
            "records": [_told(record) for record in records],
            "next_offset": records[-1].offset + 1 if records else offset,
            "end_offset": data.high_watermark,
        }

    async def events(self, call: Call) -> list[dict[str, Any]]:
        if EVENTS_TOPIC not in self._asking.parts.image().topics:
            return []
        limit = call.query["limit"]
        begin = await self._end(call, EVENTS_TOPIC, 0, EARLIEST)
        end = await self._end(call, EVENTS_TOPIC, 0, LATEST)
        found: list[dict[str, Any]] = []
        offset = max(begin, end - limit)
        while offset < end and len(found) < limit:
            records = _records((await self._fetch(call, EVENTS_TOPIC, 0, offset, 0)).records, offset, limit)
            if not records:
                break
            found += [json.loads(bytes(record.value or b"{}")) for record in records]
            offset = records[-1].offset + 1
        return found

    async def _end(self, call: Call, topic: str, partition: int, timestamp: int) -> int:
        """Raises `Problem`."""
        known = await self._topics.partitions_of(call, topic)
        if partition not in known:
            raise Problem(404, f"topic {topic!r} has no partition {partition}", "UNKNOWN_TOPIC_OR_PARTITION")
        found = await self._topics.offsets(call, {topic: [partition]}, timestamp)
        if (topic, partition) not in found:
            raise Problem(503, f"the leader of {topic}-{partition} does not answer", Retry_After="1")
        return found[(topic, partition)]

    async def _fetch(self, call: Call, topic: str, partition: int, offset: int, wait_ms: int) -> PartitionData:
        wanted = FetchPartition(
            partition=partition, fetch_offset=offset, current_leader_epoch=-1, partition_max_bytes=_FETCH_BYTES
        )
        request = FetchRequest(
            max_wait_ms=wait_ms,
            min_bytes=1,
            max_bytes=_FETCH_BYTES,
            isolation_level=_READ_COMMITTED,
            session_epoch=-1,
            topics=[FetchTopic(topic=topic, partitions=[wanted])],
        )
        answer = await self._asking.fetch(call.caller, request, topic, partition)
        check(answer.error_code)
        data = answer.responses[0].partitions[0]
        check(data.error_code, f"{topic}-{partition} at offset {offset}: {ErrorCode(data.error_code).name}")
        return data


def _record(given: dict[str, Any], offset: int, now_ms: int, place: str) -> Record:
    """Raises `Problem`."""
    return Record(
        offset,
        given.get("timestamp", now_ms),
        _bytes(given.get("key"), f"{place}.key"),
        _bytes(given["value"], f"{place}.value"),
        [(each["name"], _bytes(each["value"], f"{place}.headers")) for each in given.get("headers", ())],
    )


def _records(batches: Buffer | None, offset: int, limit: int) -> list[Record]:
    """From `offset` on; a batch that is not whole, and what transactions say to brokers, is left out."""
    found: list[Record] = []
    view = memoryview(batches or b"")
    try:
        for at, header in headers(view):
            if header.is_control:
                continue
            for record in records_of(view, at, _MOST_DECOMPRESSED):
                if record.offset >= offset:
                    found.append(record)
                    if len(found) == limit:
                        return found
    except ProtocolError as problem:
        if not found:
            raise Problem(500, f"what is stored at offset {offset} cannot be read: {problem}") from problem
    return found


def _told(record: Record) -> dict[str, Any]:
    return {
        "offset": record.offset,
        "timestamp": record.timestamp,
        "key": _json(record.key),
        "value": _json(record.value),
        "headers": [{"name": name, "value": _json(value)} for name, value in record.headers],
    }


def _bytes(given: Any, place: str) -> bytes | None:
    """Raises `Problem`."""
    if given is None:
        return None
    if isinstance(given, str):
        try:
            return given.encode()
        except UnicodeEncodeError:
            raise Problem(400, f"{place} holds half a surrogate pair, which is no text") from None
    if "json" in given:
        return json.dumps(given["json"], separators=(",", ":")).encode()
    try:
        return base64.b64decode(given["base64"], validate=True)
    except (binascii.Error, ValueError) as problem:
        raise Problem(400, f"{place} is no base64: {problem}") from problem


def _json(data: Buffer | None) -> Any:
    if data is None:
        return None
    raw = bytes(data)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(raw).decode()}
