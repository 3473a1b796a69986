"""`sprawl-admin topic import`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sprawl.admin.options import LOCAL, Bootstrap, OutputOption, Timeout, show_rows, target
from sprawl.admin.session import USAGE, RefusedError, fail, run

if TYPE_CHECKING:
    from sprawl.admin.topic_import import Told


def topic_import(
    directory: Annotated[
        Path,
        typer.Option(
            "--kafka-log-dir", help="A partition's directory (orders-0), or the one above (log.dirs).", metavar="DIR"
        ),
    ],
    topic: Annotated[str | None, typer.Option("--topic", help="This one; otherwise all there are.")] = None,
    to: Annotated[str | None, typer.Option("--to", help="Its name in the cluster; otherwise the same.")] = None,
    partitions: Annotated[
        str, typer.Option("--partitions", help="These; otherwise all there are.", metavar="N[,N...]")
    ] = "",
    count: Annotated[
        int | None,
        typer.Option("--of", help="How many partitions a new topic has in all; as found here.", metavar="N", min=1),
    ] = None,
    replicas: Annotated[
        int, typer.Option("--replicas", "-r", help="Of a new topic; -1: the broker's default.", metavar="N")
    ] = -1,
    settings: Annotated[
        list[str] | None, typer.Option("--set", "-s", help="Of a new topic; may be repeated.", metavar="KEY=VALUE")
    ] = None,
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Import what lies before damage in a log.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "--execute", "-y", help="Do it; otherwise only show the plan.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the plan: so it is without --yes.")] = False,
    bootstrap: Bootstrap = LOCAL,
    output: OutputOption = None,
    timeout: Timeout = 30.0,
) -> None:
    """Take over a topic from the directories of a stopped Apache Kafka broker, every record at its offset.

    Everything is read and checked first. What was interrupted goes on when it is begun again.

    Example: `sprawl-admin topic import --kafka-log-dir /var/lib/kafka/orders-0 --set retention.ms=-1 --yes`
    """
    from sprawl.admin.kafka_directories import look_into
    from sprawl.admin.topic_import import Wish, examined, imported

    if yes and dry_run:
        fail("--dry-run or --yes, not both.", USAGE)
    wish = Wish(to, count, replicas, _settings(settings or []), accept_loss)
    try:
        found = look_into(directory, topic, _numbers(partitions))
        if to is not None and len({each.topic for each in found.partitions}) > 1:
            fail("--to names one topic, and there are several: say which with --topic.", USAGE)
        size = sum(path.stat().st_size for each in found.partitions for path in each.segments)
        with _bar("checking", size) as told:
            sources = examined(found.partitions, wish, told)
    except RefusedError as problem:
        fail(str(problem), problem.exit_code)
    with _bar("importing" if yes else "comparing", sum(each.found.bytes for each in sources)) as told:
        rows = run(target(bootstrap, timeout), lambda session: imported(session, sources, wish, told, execute=yes))
    show_rows(rows, output)
    if found.passed_over:
        typer.echo(f"passed over: {', '.join(found.passed_over)}", err=True)
    typer.echo("imported" if yes else "nothing was changed; --yes does it", err=True)


def _numbers(text: str) -> frozenset[int] | None:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdecimal() for part in parts):
        fail(f"{text}: partitions are numbers: --partitions 0,1", USAGE)
    return frozenset(map(int, parts)) or None


def _settings(pairs: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in pairs:
        key, separator, value = text.partition("=")
        if not separator or not key:
            fail(f"{text}: a setting is KEY=VALUE, such as retention.ms=-1.", USAGE)
        found[key] = value
    return found


@contextmanager
def _bar(what: str, total: int) -> Iterator[Told]:
    """On standard error, if that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda size: bar.advance(task, size)
