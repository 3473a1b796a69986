"""`sprawl-admin event ...`: what the cluster did by itself, and why."""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import Annotated, Any

import typer

from sprawl.admin.options import LOCAL, Bootstrap, Output, OutputOption, Timeout, chosen, show_rows, target
from sprawl.admin.session import Session, run

app = typer.Typer(help="What the cluster did by itself, and why.", no_args_is_help=True)
Kinds = Annotated[list[str] | None, typer.Option("--kind", help="Of this kind only; may be repeated.")]


@app.command("list")
def event_list(
    kinds: Kinds = None,
    limit: Annotated[int, typer.Option("--limit", "-n", help="The last so many.", min=1)] = 50,
    bootstrap: Bootstrap = LOCAL,
    output: OutputOption = None,
    timeout: Timeout = 10.0,
) -> None:
    """List the last events, the youngest at the end.

    Example: `sprawl-admin event list --limit 20`
    """
    from sprawl.admin.events import events

    async def work(session: Session) -> list[dict[str, Any]]:
        return [row async for row in events(session, last=limit, follow=False, kinds=tuple(kinds or ()))]

    show_rows(run(target(bootstrap, timeout), work)[-limit:], output)


@app.command("watch")
def event_watch(
    kinds: Kinds = None,
    count: Annotated[int | None, typer.Option("--count", "-c", help="No more than so many.", min=1)] = None,
    tail: Annotated[int, typer.Option("--tail", help="Begin with the last so many.", min=0)] = 0,
    bootstrap: Bootstrap = LOCAL,
    output: OutputOption = None,
    timeout: Timeout = 10.0,
) -> None:
    """Print events as they happen: lines of text on a terminal, JSON objects to a line elsewhere.

    Example: `sprawl-admin event watch --tail 5`
    """
    from sprawl.admin.events import events

    plain = chosen(output) in (Output.TABLE, Output.WIDE)

    async def work(session: Session) -> None:
        shown = 0
        async with aclosing(events(session, last=tail, follow=True, kinds=tuple(kinds or ()))) as found:
            async for row in found:
                text = "  ".join(str(row[name]) for name in ("time", "kind", "subject", "reason"))
                typer.echo(text if plain else json.dumps(row, ensure_ascii=False))
                shown += 1
                if shown == count:
                    return

    try:
        run(target(bootstrap, timeout), work)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
