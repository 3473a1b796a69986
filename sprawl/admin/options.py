"""What the commands of `sprawl-admin` have in common: which cluster, for whom to print, and how results are shown."""

from __future__ import annotations

import enum
import sys
from asyncio import sleep as pause
from collections.abc import Awaitable, Callable
from os import environ  # noqa: TID251 - a command of a user's, not a node
from typing import Annotated, Any, Final

import typer

from sprawl.admin.session import Session, Target, run
from sprawl.admin.tables import print_csv, print_json, print_names, print_table, print_yaml
from sprawl.admin.which_cluster import settings_for


class Output(enum.StrEnum):
    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    CSV = "csv"
    NAME = "name"


VARIABLE: Final = "SPRAWL_BOOTSTRAP"
Bootstrap = Annotated[
    str,
    typer.Option(
        "--bootstrap-server",
        "--bootstrap",
        "-b",
        envvar=VARIABLE,
        help="Brokers to ask, in order.",
        metavar="HOST:PORT[,...]",
        show_default="that of the profile in use, or 127.0.0.1:9092",
    ),
]
OutputOption = Annotated[
    Output | None,
    typer.Option("--output", "-o", help="Without it: a table on a terminal, JSON elsewhere.", show_default=False),
]
Timeout = Annotated[float, typer.Option(help="Seconds to wait for each answer.", metavar="SECONDS", min=0.1)]
Watch = Annotated[
    float | None,
    typer.Option("--watch", "-w", help="Show it again every so many seconds.", metavar="SECONDS", min=0.1),
]
LOCAL: Final = ""
"""Nothing was said: the profile in use, or this machine."""
_HERE: Final = "127.0.0.1:9092"
_CLEARED: Final = "\x1b[2J\x1b[H"


def target(bootstrap: str, timeout: float) -> Target:
    found = settings_for(bootstrap)
    addresses = (found.bootstrap or _HERE).split(",")
    return Target(tuple(part.strip() for part in addresses if part.strip()), timeout, found.tls, found.credentials)


def environment_target() -> Target:
    """Where nothing can be said on the command line: while it is being typed."""
    return target(environ.get(VARIABLE, ""), 1.0)


def listed(
    where: Target,
    work: Callable[[Session], Awaitable[list[dict[str, Any]]]],
    output: Output | None,
    every: float | None = None,
) -> None:
    """Ask and show; with `every`, again after so many seconds, on a terminal in the same place, until interrupted."""
    if every is None:
        show_rows(run(where, work), output)
        return

    async def again(session: Session) -> None:
        while True:
            rows = await work(session)
            if sys.stdout.isatty():
                typer.echo(_CLEARED, nl=False)
            show_rows(rows, output)
            await pause(every)

    try:
        run(where, again)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def show_rows(rows: list[dict[str, Any]], output: Output | None) -> None:
    match chosen(output):
        case Output.JSON:
            print_json(rows)
        case Output.YAML:
            print_yaml(rows)
        case Output.CSV:
            print_csv(rows)
        case Output.NAME:
            print_names(rows)
        case Output.WIDE:
            print_table([{key: _joined(value) for key, value in row.items()} for row in rows], wide=True)
        case _:
            print_table([{key: _joined(value) for key, value in row.items()} for row in rows])


def show(found: dict[str, Any], output: Output | None, rows: str) -> None:
    """A few lines of facts, then the rows; all of it as JSON or YAML; the rows alone as CSV or names."""
    match chosen(output):
        case Output.JSON:
            print_json(found)
            return
        case Output.YAML:
            print_yaml(found)
            return
        case Output.TABLE | Output.WIDE:
            _facts(found, rows)
    show_rows(found[rows], output)


def show_one(found: dict[str, Any], output: Output | None) -> None:
    """A single thing: an object rather than a list of one."""
    match chosen(output):
        case Output.JSON:
            print_json(found)
        case Output.YAML:
            print_yaml(found)
        case _:
            show_rows([found], output)


def chosen(output: Output | None) -> Output:
    if output is not None:
        return output
    return Output.TABLE if sys.stdout.isatty() else Output.JSON


def _facts(found: dict[str, Any], rows: str) -> None:
    for name, value in found.items():
        if name == rows:
            continue
        if isinstance(value, dict):
            value = ", ".join(f"{key}={text}" for key, text in value.items()) or "-"
        typer.echo(f"{name.replace('_', ' ')}: {value}")
    typer.echo()


def _joined(value: object) -> object:
    return ",".join(str(item) for item in value) if isinstance(value, list) else value
