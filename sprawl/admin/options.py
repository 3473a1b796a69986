"""What the commands of `sprawl-admin` have in common: which cluster, for whom to print, and how results are shown."""

from __future__ import annotations

import enum
from typing import Annotated, Any, Final

import typer

from sprawl.admin.session import Target
from sprawl.admin.tables import print_json, print_table


class Output(enum.StrEnum):
    TABLE = "table"
    JSON = "json"


Bootstrap = Annotated[
    str,
    typer.Option(
        "--bootstrap", "-b", envvar="SPRAWL_BOOTSTRAP", help="Brokers to ask, in order.", metavar="HOST:PORT[,...]"
    ),
]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="For people or for programs.")]
Timeout = Annotated[float, typer.Option(help="Seconds to wait for each answer.", metavar="SECONDS", min=0.1)]
LOCAL: Final = "127.0.0.1:9092"


def target(bootstrap: str, timeout: float) -> Target:
    return Target(tuple(part.strip() for part in bootstrap.split(",") if part.strip()), timeout)


def show_rows(rows: list[dict[str, Any]], output: Output) -> None:
    if output is Output.JSON:
        print_json(rows)
    else:
        print_table([{key: _joined(value) for key, value in row.items()} for row in rows])


def show(found: dict[str, Any], output: Output, rows: str) -> None:
    """A few lines of facts, then the rows; or everything as JSON."""
    if output is Output.JSON:
        print_json(found)
        return
    for name, value in found.items():
        if name == rows:
            continue
        if isinstance(value, dict):
            value = ", ".join(f"{key}={text}" for key, text in value.items()) or "-"
        typer.echo(f"{name.replace('_', ' ')}: {value}")
    typer.echo()
    show_rows(found[rows], output)


def _joined(value: object) -> object:
    return ",".join(str(item) for item in value) if isinstance(value, list) else value
