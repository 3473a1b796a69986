"""Records on their way into a topic: which partition each goes to, and the leaders they are sent to.

A key goes where Java's producer sends it. What has neither key nor partition goes to one partition per batch, in turn.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sprawl.admin.groups import leaders_of
from sprawl.admin.record_lines import Line
from sprawl.admin.session import NOT_FOUND, RefusedError, Session
from sprawl_protocol.compression import Codec
from sprawl_protocol.errors import ErrorCode
from sprawl_protocol.keys import partition_of
from sprawl_protocol.messages import PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData
from sprawl_protocol.records import Record, build_batch

_PRODUCE_VERSION: Final = 12
"""The last that names topics; newer ones want their ids."""
_LED_ELSEWHERE: Final = (
    ErrorCode.NOT_LEADER_OR_FOLLOWER,
    ErrorCode.LEADER_NOT_AVAILABLE,
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
)
_AGAIN_AFTER: Final = 0.2


@dataclass(frozen=True, slots=True)
class Written:
    partition: int
    offset: int
    records: int


class Writer:
    """`write` as often as there are records; each returns when all of them are in."""

    def __init__(self, session: Session, topic: str, codec: Codec) -> None:
        self._session = session
        self._topic = topic
        self._codec = codec
        self._leaders: dict[tuple[str, int], int] = {}
        self._turn = 0

    async def write(self, lines: Sequence[Line]) -> list[Written]:
        """Raises `RefusedError`, `ClientError`."""
        if not self._leaders:
            self._leaders = await leaders_of(self._session, [self._topic])
        return [
            await self._send(partition, records) for partition, records in sorted(self._by_partition(lines).items())
        ]

    def _by_partition(self, lines: Sequence[Line]) -> dict[int, list[Record]]:
        count = len(self._leaders)
        anywhere = self._turn % count
        self._turn += 1
        now = self._session.now_ms()
        found: defaultdict[int, list[Record]] = defaultdict(list)
        for line in lines:
            partition = line.partition
            if partition is None:
                partition = anywhere if line.key is None else partition_of(line.key, count)
            if (self._topic, partition) not in self._leaders:
                raise RefusedError(f"{self._topic} has no partition {partition}", NOT_FOUND)
            timestamp = now if line.timestamp is None else line.timestamp
            found[partition].append(Record(0, timestamp, line.key, line.value, list(line.headers)))
        return found

    async def _send(self, partition: int, records: list[Record]) -> Written:
        data = PartitionProduceData(index=partition, records=build_batch(records, compression=self._codec))
        request = ProduceRequest(
            acks=-1,
            timeout_ms=self._session.timeout_ms,
            topic_data=[TopicProduceData(name=self._topic, partition_data=[data])],
        )
        for tries_left in range(int(self._session.timeout_ms / 1000 / _AGAIN_AFTER), -1, -1):
            leader = self._leaders[self._topic, partition]
            code, message, offset = int(ErrorCode.LEADER_NOT_AVAILABLE), None, -1
            if leader >= 0:
                answer = await self._session.ask(request, ProduceResponse, leader, version=_PRODUCE_VERSION)
                (one,) = answer.responses[0].partition_responses
                code, message, offset = one.error_code, one.error_message, one.base_offset
            if not code:
                return Written(partition, offset, len(records))
            if code not in _LED_ELSEWHERE or not tries_left:
                break
            await asyncio.sleep(_AGAIN_AFTER)
            self._leaders = await leaders_of(self._session, [self._topic])
        raise RefusedError.of(f"{self._topic}-{partition}", code, message)
