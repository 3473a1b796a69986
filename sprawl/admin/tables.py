"""Rows for people (a table) and for programs (JSON, YAML, CSV, names). In: dictionaries alike. Out: standard output."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence

import typer

Row = Mapping[str, object]


def print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_yaml(value: object) -> None:
    for line in _yaml(value):
        typer.echo(line)


def print_csv(rows: Sequence[Row]) -> None:
    """The first row's keys head the columns; lists are joined by spaces."""
    if not rows:
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(rows[0])
    for row in rows:
        writer.writerow(" ".join(map(str, cell)) if isinstance(cell, list) else cell for cell in row.values())
    typer.echo(text.getvalue(), nl=False)


def print_names(rows: Sequence[Row]) -> None:
    """What each row is known by: its first value."""
    for row in rows:
        typer.echo(next(iter(row.values())))


def _yaml(value: object) -> Iterator[str]:
    """Blocks, with every scalar as in JSON, which YAML reads alike."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            if isinstance(inner, (Mapping, list)) and inner:
                yield f"{json.dumps(key, ensure_ascii=False)}:"
                yield from (f"  {line}" for line in _yaml(inner))
            else:
                yield f"{json.dumps(key, ensure_ascii=False)}: {json.dumps(inner, ensure_ascii=False)}"
    elif isinstance(value, list) and value:
        for item in value:
            for number, line in enumerate(_yaml(item)):
                yield f"{'  ' if number else '- '}{line}"
    else:
        yield json.dumps(value, ensure_ascii=False)


def print_table(rows: Sequence[Row], *, wide: bool = False) -> None:
    """A table as wide as the terminal; as wide as its content if so wished, or nobody looks (a pipe, a file)."""
    if not rows:
        typer.echo("nothing to show")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in rows[0]:
        table.add_column(name.upper(), overflow="fold", no_wrap=wide or not console.is_terminal)
    for row in rows:
        table.add_row(*(Text("-" if value is None else str(value)) for value in row.values()))
    if console.is_terminal and not wide:
        console.print(table)
    else:
        needed = console.measure(table, options=console.options.update(width=10_000)).maximum
        Console(width=max(80, needed)).print(table)
