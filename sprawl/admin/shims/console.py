"""`kafka-console-producer` and `kafka-console-consumer`: lines in, lines out.

The consumer belongs to no group: one with `--group` is refused rather than read past what the group has committed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import aclosing

import typer

from sprawl.admin.groups import partitions_of
from sprawl.admin.record_lines import Line, LineError, LineFormat, read_line
from sprawl.admin.record_reading import Begin, Reader, begins
from sprawl.admin.record_writing import Writer
from sprawl.admin.session import USAGE, Session, fail, run
from sprawl.admin.shims.flags import pairs, parser, target_of
from sprawl_protocol.compression import Codec
from sprawl_protocol.records import Record

_AT_ONCE = 500


def produce(words: Sequence[str]) -> None:
    flags = parser("kafka-console-producer", "--producer.config")
    flags.add_argument("--topic", required=True)
    flags.add_argument("--property", "--reader-property", action="append", default=[])
    flags.add_argument("--compression-codec", nargs="?", const="gzip", default="none")
    given = flags.parse_args(words)
    properties = pairs(given.property)
    if given.compression_codec.upper() not in Codec.__members__:
        fail(f"--compression-codec {given.compression_codec}: none, gzip, snappy, lz4 or zstd", USAGE)
    _only(properties, "parse.key", "key.separator")
    shape = LineFormat.KEYED if properties.get("parse.key") == "true" else LineFormat.VALUE
    separator = properties.get("key.separator", "\t").encode()

    async def work(session: Session) -> None:
        writer = Writer(session, given.topic, Codec[given.compression_codec.upper()])
        waiting: list[Line] = []
        for line in sys.stdin.buffer:
            waiting.append(read_line(line.removesuffix(b"\n").removesuffix(b"\r"), shape, separator))
            if len(waiting) == _AT_ONCE or sys.stdin.isatty():
                await writer.write(waiting)
                waiting = []
        if waiting:
            await writer.write(waiting)

    try:
        run(target_of(given), work)
    except LineError as problem:
        fail(str(problem), USAGE)


def consume(words: Sequence[str]) -> None:
    flags = parser("kafka-console-consumer", "--consumer.config")
    flags.add_argument("--topic", required=True)
    flags.add_argument("--from-beginning", action="store_true")
    flags.add_argument("--partition", type=int)
    flags.add_argument("--offset", default="latest")
    flags.add_argument("--max-messages", type=int)
    flags.add_argument("--timeout-ms", type=int)
    flags.add_argument("--isolation-level", default="read_uncommitted", choices=["read_uncommitted", "read_committed"])
    flags.add_argument("--property", "--formatter-property", action="append", default=[])
    flags.add_argument("--group")
    given = flags.parse_args(words)
    if given.group is not None:
        fail("--group: this shim belongs to no group; a consumer of one's own does", USAGE)
    properties = pairs(given.property)
    _only(properties, "print.key", "print.value", "print.partition", "print.offset", "print.timestamp", "key.separator")
    place = _begin(given)

    async def work(session: Session) -> int:
        await partitions_of(session, [given.topic])
        reader = Reader(
            session,
            await begins(session, given.topic, given.partition, place),
            committed=given.isolation_level == "read_committed",
        )
        shown = 0
        async with aclosing(reader.records(follow=given.timeout_ms is None)) as records:
            async for (_, partition), record in records:
                typer.echo(line_of(partition, record, properties))
                shown += 1
                if shown == given.max_messages:
                    break
        return shown

    shown = 0
    try:
        shown = run(target_of(given), work)
    except KeyboardInterrupt:
        return
    typer.echo(f"Processed a total of {shown} messages", err=True)


def line_of(partition: int, record: Record, properties: dict[str, str]) -> str:
    """The fields that were asked for, in Kafka's order: time, partition, offset, key, value."""

    def wanted(name: str, otherwise: str = "false") -> bool:
        return properties.get(f"print.{name}", otherwise) == "true"

    found: list[str] = []
    if wanted("timestamp"):
        found.append(f"CreateTime:{record.timestamp}")
    if wanted("partition"):
        found.append(f"Partition:{partition}")
    if wanted("offset"):
        found.append(f"Offset:{record.offset}")
    for name, data, otherwise in (("key", record.key, "false"), ("value", record.value, "true")):
        if wanted(name, otherwise):
            found.append("null" if data is None else bytes(data).decode(errors="replace"))
    return properties.get("key.separator", "\t").join(found)


def _begin(given: argparse.Namespace) -> Begin:
    if given.from_beginning or given.offset == "earliest":
        return Begin()
    if given.offset == "latest":
        return Begin(latest=True)
    if not given.offset.isdecimal() or given.partition is None:
        fail("--offset is earliest, latest or a number, and a number needs --partition", USAGE)
    return Begin(offset=int(given.offset))


def _only(properties: dict[str, str], *known: str) -> None:
    strange = sorted(set(properties) - set(known))
    if strange:
        fail(f"--property {strange[0]}: known are {', '.join(known)}", USAGE)
