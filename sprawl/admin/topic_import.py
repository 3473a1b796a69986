"""`sprawl-admin topic import`: logs of a stopped Apache Kafka broker into topics of a cluster, offset by offset.

In: the partitions found in a directory (`kafka_directories.py`), and a cluster. Out: what each partition holds and what
became of it. Everything is read and checked before the first record is sent. The leader takes a batch only where its
log ends, so that nothing is in there twice and nothing between: an import that was interrupted is begun again, and goes
on where it was, once the last batch there has proved to be this log's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from sprawl.admin.configs import trim
from sprawl.admin.groups import EARLIEST, LATEST, leaders_of, offsets_at
from sprawl.admin.kafka_directories import KafkaPartition
from sprawl.admin.kafka_logs import Examined, KafkaLogError, batches, examine
from sprawl.admin.session import CONFLICT, NOT_FOUND, RefusedError, Session
from sprawl.admin.topics import NewTopic, create_topic
from sprawl_protocol.errors import ErrorCode
from sprawl_protocol.messages import (
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    PartitionProduceData,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from sprawl_protocol.records import BatchHeader, headers, read_header

IMPORT: Final = "sprawl.import"
"""As `sprawl.partitions.importing` has it: a producer's batches do not say where they are to be."""
_PRODUCE_VERSION: Final = 12
_FETCH_VERSION: Final = 12
"""The last that name topics."""
_REQUEST_BYTES: Final = 4 * 1024 * 1024
_AGAIN_AFTER: Final = 0.2
_FOR_A_MOMENT: Final = frozenset(
    {
        ErrorCode.NOT_LEADER_OR_FOLLOWER,
        ErrorCode.LEADER_NOT_AVAILABLE,
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode.NOT_ENOUGH_REPLICAS,
        ErrorCode.REQUEST_TIMED_OUT,
        ErrorCode.OFFSET_NOT_AVAILABLE,
        ErrorCode.OFFSET_OUT_OF_RANGE,
    }
)
Told = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Wish:
    to: str | None
    """The topic's name in the cluster; None: as in Kafka."""
    count: int | None
    """How many partitions a topic is made with; None: as many as there are here."""
    replicas: int
    settings: dict[str, str]
    accept_loss: bool


@dataclass(frozen=True, slots=True)
class Source:
    kafka: KafkaPartition
    found: Examined

    @property
    def index(self) -> int:
        return self.kafka.partition


def examined(partitions: tuple[KafkaPartition, ...], wish: Wish, read: Told) -> list[Source]:
    """Read and checked, every byte. Raises `RefusedError`."""
    try:
        sources = [Source(each, examine(each, read)) for each in partitions]
    except (OSError, KafkaLogError) as problem:
        raise RefusedError(str(problem)) from None
    damages = [each.found.damage for each in sources if each.found.damage is not None]
    if damages and not wish.accept_loss:
        told = "; ".join(damages)
        advice = "" if all(each.kafka.clean for each in sources) else " (the broker was not stopped in order: start it "
        advice += "" if not advice else "once more, and stop it)"
        raise RefusedError(f"{told}{advice}. --accept-loss imports what lies before; nothing was imported")
    return sources


async def imported(session: Session, sources: list[Source], wish: Wish, sent: Told, *, execute: bool) -> list[Any]:
    """A row for each partition. Raises `RefusedError`, `ClientError`."""
    by_topic: dict[str, list[Source]] = {}
    for each in sources:
        by_topic.setdefault(wish.to or each.kafka.topic, []).append(each)
    rows = []
    works = [(topic, await _checked(session, topic, some, wish, execute=execute)) for topic, some in by_topic.items()]
    for topic, some in works:
        for source, at in some:
            if execute:
                await _Import(session, topic, source, sent).run(at)
            rows.append(_row(topic, source, at, execute=execute))
    return rows


async def _checked(
    session: Session, topic: str, sources: list[Source], wish: Wish, *, execute: bool
) -> list[tuple[Source, int]]:
    """How far each partition is in the cluster already. Makes the topic, if that is to be."""
    try:
        leaders = await leaders_of(session, [topic])
    except RefusedError as refusal:
        if refusal.exit_code != NOT_FOUND:
            raise
        count = max(each.index for each in sources) + 1 if wish.count is None else wish.count
        if count <= max(each.index for each in sources):
            told = f"partition {max(each.index for each in sources)} needs a topic of more than {count} partitions"
            raise RefusedError(told, CONFLICT) from None
        if not execute:
            return [(each, 0) for each in sources]
        await create_topic(session, NewTopic(topic, count, wish.replicas, wish.settings))
        return [(each, 0) for each in sources]
    missing = [each.index for each in sources if (topic, each.index) not in leaders]
    if missing:
        raise RefusedError(f"{topic} has {len(leaders)} partitions, and none of number {missing[0]}", CONFLICT)
    return [(each, await _begun(session, topic, each)) for each in sources]


async def _begun(session: Session, topic: str, source: Source) -> int:
    """Where the partition's log ends, which is empty or holds the beginning of this one. Raises `RefusedError`."""
    part = (topic, source.index)
    start = (await offsets_at(session, [part], EARLIEST))[part]
    end = (await offsets_at(session, [part], LATEST))[part]
    if end == 0:
        return 0
    conflict = RefusedError(
        f"{topic}-{source.index} has records of its own, from offset {start} to {end}: import into a new topic (--to), "
        "or delete this one",
        CONFLICT,
    )
    last = min(end, source.found.end) - 1
    header = None
    for batch in batches(source.kafka, source.found):
        header = read_header(batch)
        if header.last_offset >= last:
            break
    if header is None or header.last_offset != last:
        raise conflict
    if start <= last:
        there = await _batch_at(session, part, last)
        if there is None or (there.base_offset, there.crc) != (header.base_offset, header.crc):
            raise conflict
    return end


async def _batch_at(session: Session, part: tuple[str, int], offset: int) -> BatchHeader | None:
    leader = (await leaders_of(session, [part[0]]))[part]
    wanted = FetchPartition(
        partition=part[1], fetch_offset=offset, current_leader_epoch=-1, partition_max_bytes=_REQUEST_BYTES
    )
    request = FetchRequest(
        max_wait_ms=1000,
        min_bytes=1,
        max_bytes=_REQUEST_BYTES,
        session_epoch=-1,
        topics=[FetchTopic(topic=part[0], partitions=[wanted])],
    )
    answer = await session.ask(request, FetchResponse, leader, version=_FETCH_VERSION)
    data = answer.responses[0].partitions[0]
    if data.error_code:
        raise RefusedError.of(f"{part[0]}-{part[1]} at offset {offset}", data.error_code, None)
    return next((each for _, each in headers(data.records or b"") if each.last_offset >= offset), None)


class _Import:
    """Of one partition."""

    def __init__(self, session: Session, topic: str, source: Source, sent: Told) -> None:
        self._session = session
        self._topic = topic
        self._source = source
        self._sent = sent
        self._leader = -1

    async def run(self, at: int) -> None:
        for chunk in _chunks(batches(self._source.kafka, self._source.found), at, self._sent):
            await self._send(chunk)
            self._sent(len(chunk))
        start = self._source.found.start
        if start > 0:
            await trim(self._session, self._topic, self._source.index, start, execute=True)

    async def _send(self, chunk: bytes) -> None:
        data = PartitionProduceData(index=self._source.index, records=chunk)
        request = ProduceRequest(
            transactional_id=IMPORT,
            acks=-1,
            timeout_ms=self._session.timeout_ms,
            topic_data=[TopicProduceData(name=self._topic, partition_data=[data])],
        )
        part = (self._topic, self._source.index)
        sent = [header for _, header in headers(chunk)]
        first, due = sent[0].base_offset, sent[-1].next_offset
        for tries_left in range(max(int(self._session.timeout_ms / 1000 / _AGAIN_AFTER), 1), -1, -1):
            code, message = int(ErrorCode.LEADER_NOT_AVAILABLE), None
            if self._leader >= 0:
                answer = await self._session.ask(request, ProduceResponse, self._leader, version=_PRODUCE_VERSION)
                (one,) = answer.responses[0].partition_responses
                code, message = one.error_code, one.error_message
                if not code and one.base_offset != first:
                    told = f"{part[0]}-{part[1]}: sent for offset {first}, appended at {one.base_offset}: this broker "
                    raise RefusedError(told + "does not keep offsets, and is no place to import to. Delete the topic")
                if not code:
                    return
            if code not in _FOR_A_MOMENT or not tries_left:
                break
            if self._leader >= 0:
                await asyncio.sleep(_AGAIN_AFTER)
            try:
                self._leader = (await leaders_of(self._session, [self._topic])).get(part, -1)
                asked = code != ErrorCode.LEADER_NOT_AVAILABLE and self._leader >= 0
                if asked and (await offsets_at(self._session, [part], LATEST))[part] == due:
                    return  # it was appended, and the answer said that this was not known
            except RefusedError:
                await asyncio.sleep(_AGAIN_AFTER)  # a topic just made is not known everywhere yet
        raise RefusedError.of(f"{self._topic}-{self._source.index}", code, message)


def _chunks(found: Iterator[bytearray], at: int, passed: Told) -> Iterator[bytes]:
    """Whole batches, a request's worth each, from offset `at` on."""
    chunk = bytearray()
    for batch in found:
        if read_header(batch).next_offset <= at:
            passed(len(batch))
            continue
        if chunk and len(chunk) + len(batch) > _REQUEST_BYTES:
            yield bytes(chunk)
            chunk = bytearray()
        chunk += batch
    if chunk:
        yield bytes(chunk)


def _row(topic: str, source: Source, at: int, *, execute: bool) -> dict[str, Any]:
    found = source.found
    state = "already there" if at >= max(found.end, 1) else "imported" if execute else "continues" if at else "new"
    return {
        "topic": topic,
        "partition": source.index,
        "state": state,
        "first": found.start,
        "end": found.end,
        "records": found.records,
        "bytes": found.bytes,
        "aborted": found.aborted,
        "undecided": found.undecided,
        "high_watermark": source.kafka.high_watermark,
        "newest_ms": found.newest_ms,
        "damage": found.damage,
        "from": str(source.kafka.path),
    }
