"""Rows for people (a table) and for programs (JSON). In: dictionaries with the same keys. Out: standard output."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import typer

Row = Mapping[str, object]


def print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(rows: Sequence[Row]) -> None:
    """A table as wide as the terminal; as wide as its content if nobody looks (a pipe, a file)."""
    if not rows:
        typer.echo("nothing to show")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in rows[0]:
        table.add_column(name.upper(), overflow="fold", no_wrap=not console.is_terminal)
    for row in rows:
        table.add_row(*(Text("-" if value is None else str(value)) for value in row.values()))
    if console.is_terminal:
        console.print(table)
    else:
        wide = Console(width=max(80, console.measure(table, options=console.options.update(width=10_000)).maximum))
        wide.print(table)
