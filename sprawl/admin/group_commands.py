"""`sprawl-admin group ...`: consumer groups, their lag, and where they read on."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from sprawl.admin import completion
from sprawl.admin.options import LOCAL, Bootstrap, OutputOption, Timeout, Watch, listed, show, show_rows, target
from sprawl.admin.session import USAGE, fail, run

app = typer.Typer(help="Consumer groups.", no_args_is_help=True)
Group = Annotated[str, typer.Argument(help="The group's name.", autocompletion=completion.groups)]


@app.command("list")
def group_list(
    bootstrap: Bootstrap = LOCAL, output: OutputOption = None, timeout: Timeout = 10.0, watch: Watch = None
) -> None:
    """List groups and their states.

    Example: `sprawl-admin group list`
    """
    from sprawl.admin.groups import list_groups

    listed(target(bootstrap, timeout), list_groups, output, watch)


@app.command("describe")
def group_describe(
    group: Group, bootstrap: Bootstrap = LOCAL, output: OutputOption = None, timeout: Timeout = 10.0
) -> None:
    """Show how far a group has read, and how many records it lags behind.

    Example: `sprawl-admin group describe billing`
    """
    from sprawl.admin.groups import describe_group

    found = run(target(bootstrap, timeout), lambda session: describe_group(session, group))
    show(found, output, "partitions")


@app.command("delete")
def group_delete(
    groups: list[str],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it; otherwise only say what would be done.")] = False,
    bootstrap: Bootstrap = LOCAL,
    timeout: Timeout = 10.0,
) -> None:
    """Delete groups and what they have committed. Without `--yes` nothing happens.

    Example: `sprawl-admin group delete billing --yes`
    """
    from sprawl.admin.groups import delete_groups

    if not yes:
        typer.echo(f"would delete {', '.join(groups)} with their commits; --yes does it", err=True)
        return
    run(target(bootstrap, timeout), lambda session: delete_groups(session, groups))
    typer.echo(f"deleted {', '.join(groups)}")


@app.command("seek")
def group_seek(
    group: Group,
    topics: Annotated[list[str] | None, typer.Option("--topic", help="This topic only; may be repeated.")] = None,
    earliest: Annotated[bool, typer.Option("--to-earliest", help="To the first record there is.")] = False,
    latest: Annotated[bool, typer.Option("--to-latest", help="Behind the last record.")] = False,
    offset: Annotated[int | None, typer.Option("--to-offset", help="To this offset.", min=0)] = None,
    moment: Annotated[
        datetime | None,
        typer.Option(
            "--to-datetime",
            help="To the first record of that time or later; local time unless it says Z.",
            formats=["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"],
        ),
    ] = None,
    by: Annotated[int | None, typer.Option("--by", help="That many records onwards, or back if negative.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "--execute", "-y", help="Do it; otherwise only show the plan.")] = False,
    bootstrap: Bootstrap = LOCAL,
    output: OutputOption = None,
    timeout: Timeout = 10.0,
) -> None:
    """Let a group that nobody is in read on from elsewhere. Without `--yes` it shows where, and nothing happens.

    Example: `sprawl-admin group seek billing --topic orders --to-datetime 2026-01-31T12:00:00 --yes`
    """
    from sprawl.admin.groups import EARLIEST, LATEST, plan_seek, seek
    from sprawl.admin.session import Session

    if sum((earliest, latest, offset is not None, moment is not None, by is not None)) != 1:
        fail("Say where to: one of --to-earliest, --to-latest, --to-offset, --to-datetime, --by.", USAGE)
    timestamp = EARLIEST if earliest else LATEST if latest else None
    if moment is not None:
        timestamp = int(moment.timestamp() * 1000)

    async def work(session: Session) -> list[dict[str, object]]:
        rows = await plan_seek(session, group, topics or [], timestamp=timestamp, offset=offset, by=by)
        if yes:
            await seek(session, group, rows)
        return rows

    show_rows(run(target(bootstrap, timeout), work), output)
    typer.echo(f"group {group} was moved" if yes else "nothing was changed; --yes does it", err=True)
