"""`sprawl-admin topic produce|consume`: records from standard input, and to standard output."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final, cast

import typer

from sprawl.admin import completion
from sprawl.admin.options import LOCAL, Bootstrap, OutputOption, Timeout, show_rows, target
from sprawl.admin.record_lines import Header, Line, LineError, LineFormat, read_line, write_line
from sprawl.admin.session import USAGE, Session, fail, run
from sprawl_protocol.compression import Codec

if TYPE_CHECKING:
    from io import BufferedReader

    from sprawl.admin.record_reading import Begin

_READ: Final = 64 * 1024

Topic = Annotated[str, typer.Argument(autocompletion=completion.topics)]
Format = Annotated[
    LineFormat, typer.Option("--format", "-f", help="value; keyed: key, separator, value; json: an object to a line.")
]
Separator = Annotated[
    str, typer.Option("--separator", help="Between key and value with `--format keyed`; otherwise a tab.")
]


def topic_produce(
    topic: Topic,
    value: Annotated[
        str | None, typer.Option("--value", "-v", help="This one; otherwise a record for each line of standard input.")
    ] = None,
    tombstone: Annotated[bool, typer.Option("--tombstone", help="No value: `--key` is deleted by compaction.")] = False,
    key: Annotated[str | None, typer.Option("--key", "-k", help="Of each record that brings none.")] = None,
    headers: Annotated[
        list[str] | None, typer.Option("--header", "-H", help="May be repeated.", metavar="NAME=VALUE")
    ] = None,
    partition: Annotated[
        int | None, typer.Option("--partition", help="This one; otherwise as the key says.", min=0)
    ] = None,
    shape: Format = LineFormat.VALUE,
    separator: Separator = "\t",
    compression: Annotated[
        str, typer.Option("--compression", "-z", help="none, gzip, snappy, lz4 or zstd.", metavar="CODEC")
    ] = "none",
    count: Annotated[int | None, typer.Option("--count", "-c", help="No more than so many.", min=1)] = None,
    bootstrap: Bootstrap = LOCAL,
    output: OutputOption = None,
    timeout: Timeout = 10.0,
) -> None:
    """Write records: each is acknowledged by all replicas in sync. Prints where they went.

    Example: `echo hello | sprawl-admin topic produce orders --key 17 --header source=shell`
    """
    if compression.upper() not in Codec.__members__:
        fail(f"{compression}: a codec is none, gzip, snappy, lz4 or zstd.", USAGE)
    if tombstone and (key is None or value is not None):
        fail("A tombstone has a --key and no --value.", USAGE)
    extra = tuple(_header(text) for text in headers or ())
    given = Line(None, None if value is None else value.encode()) if tombstone or value is not None else None

    def complete(line: Line) -> Line:
        return Line(
            key.encode() if line.key is None and key is not None else line.key,
            line.value,
            (*line.headers, *extra),
            partition if line.partition is None else line.partition,
            line.timestamp,
        )

    async def lines() -> AsyncGenerator[list[Line], None]:
        if given is not None:
            yield [given]
            return
        async for some in _input():
            yield [read_line(line, shape, separator.encode()) for line in some]

    async def work(session: Session) -> list[dict[str, object]]:
        from sprawl.admin.record_writing import Writer

        writer = Writer(session, topic, Codec[compression.upper()])
        rows: dict[int, dict[str, object]] = {}
        left = count
        async with aclosing(lines()) as batches:
            async for batch in batches:
                for done in await writer.write([complete(line) for line in batch[:left]]):
                    row = rows.setdefault(
                        done.partition, {"topic": topic, "partition": done.partition, "first": done.offset}
                    )
                    row["last"] = done.offset + done.records - 1
                    row["records"] = int(str(row.get("records", 0))) + done.records
                if left is not None:
                    left -= min(left, len(batch))
                    if not left:
                        break
        return [rows[number] for number in sorted(rows)]

    try:
        show_rows(run(target(bootstrap, timeout), work), output)
    except LineError as problem:
        fail(f"{problem}; records before it may have been written", USAGE)


def topic_consume(
    topic: Topic,
    partition: Annotated[int | None, typer.Option("--partition", help="This one; otherwise each.", min=0)] = None,
    begin: Annotated[
        str,
        typer.Option("--from", help="earliest; latest; an offset; a time, local unless it says Z.", metavar="PLACE"),
    ] = "earliest",
    tail: Annotated[int | None, typer.Option("--tail", help="The last so many of each partition.", min=0)] = None,
    count: Annotated[int | None, typer.Option("--count", "-c", help="No more than so many.", min=1)] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-F", help="Wait for more at the end; so does `--from latest`.")
    ] = False,
    uncommitted: Annotated[
        bool, typer.Option("--uncommitted", help="Records of open and aborted transactions too.")
    ] = False,
    shape: Format = LineFormat.VALUE,
    separator: Separator = "\t",
    bootstrap: Bootstrap = LOCAL,
    timeout: Timeout = 10.0,
) -> None:
    """Print records, up to the end there is now. No group is involved; nothing is committed.

    Example: `sprawl-admin topic consume orders --from 2026-01-31T12:00:00 --format json --count 10`
    """
    if tail is not None and begin != "earliest":
        fail("Either --from or --tail.", USAGE)
    place = _begin(begin, tail)
    follow = follow or place.latest

    async def work(session: Session) -> None:
        from sprawl.admin.record_reading import Reader, begins

        reader = Reader(session, await begins(session, topic, partition, place), committed=not uncommitted)
        shown = 0
        async with aclosing(reader.records(follow=follow)) as records:
            async for (name, number), record in records:
                typer.echo(write_line(name, number, record, shape, separator))
                shown += 1
                if shown == count:
                    return

    try:
        run(target(bootstrap, timeout), work)
    except KeyboardInterrupt:
        raise typer.Exit(0 if follow else 1) from None


def _begin(text: str, tail: int | None) -> Begin:
    from sprawl.admin.record_reading import Begin

    if tail is not None:
        return Begin(tail=tail)
    if text in ("earliest", "latest"):
        return Begin(latest=text == "latest")
    if text.isdecimal():
        return Begin(offset=int(text))
    try:
        return Begin(timestamp=int(datetime.fromisoformat(text).timestamp() * 1000))
    except ValueError:
        fail(f"{text}: where to begin is earliest, latest, an offset or a time such as 2026-01-31T12:00:00.", USAGE)


def _header(text: str) -> Header:
    name, found, value = text.partition("=")
    if not found or not name:
        fail(f"{text}: a header is NAME=VALUE, such as source=shell.", USAGE)
    return name, value.encode()


async def _input() -> AsyncGenerator[list[bytes], None]:
    """Lines as they come: what is there is handed on at once, however little it is."""
    source, rest = cast("BufferedReader", sys.stdin.buffer), b""
    while more := await asyncio.to_thread(source.read1, _READ):
        *lines, rest = (rest + more).split(b"\n")
        if lines:
            yield [line.removesuffix(b"\r") for line in lines]
    if rest:
        yield [rest]
