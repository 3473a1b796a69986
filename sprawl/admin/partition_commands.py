"""`sprawl-admin partition ...`: where partitions live, and who leads them."""

from __future__ import annotations

from typing import Annotated

import typer

from sprawl.admin.options import LOCAL, Bootstrap, OutputOption, Timeout, show_rows, target
from sprawl.admin.session import USAGE, fail, run

app = typer.Typer(help="Where partitions live, and who leads them.", no_args_is_help=True)


@app.command("move")
def partition_move(
    topic: str,
    partition: Annotated[int, typer.Argument(min=0)],
    to: Annotated[
        str | None,
        typer.Option("--to", help="The brokers it is to live on, the preferred leader first.", metavar="ID,..."),
    ] = None,
    cancel: Annotated[bool, typer.Option("--cancel", help="Take back the move that is under way.")] = False,
    bootstrap: Bootstrap = LOCAL,
    timeout: Timeout = 10.0,
) -> None:
    """Move a partition to other brokers. It is copied first, and served all the while; `moves` shows what is under way.

    Example: `sprawl-admin partition move orders 0 --to 3,4`
    """
    from sprawl.admin.partitions import move

    if (to is None) != cancel:
        fail("Say where the partition is to go (--to 3,4), or --cancel.", USAGE)
    brokers = None if to is None else _brokers(to)
    run(target(bootstrap, timeout), lambda session: move(session, topic, partition, brokers))
    typer.echo(f"{topic}-{partition}: " + ("the move is cancelled" if cancel else f"on its way to {to}"))


@app.command("moves")
def partition_moves(bootstrap: Bootstrap = LOCAL, output: OutputOption = None, timeout: Timeout = 10.0) -> None:
    """Show the moves that are under way.

    Example: `sprawl-admin partition moves`
    """
    from sprawl.admin.partitions import moves

    show_rows(run(target(bootstrap, timeout), moves), output)


@app.command("elect")
def partition_elect(
    topic: Annotated[str | None, typer.Argument(help="Every partition of every topic, if not given.")] = None,
    partition: Annotated[int | None, typer.Argument(min=0)] = None,
    unclean: Annotated[
        bool, typer.Option("--unclean", help="Where nobody leads: let any live replica lead. Records may be lost.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    bootstrap: Bootstrap = LOCAL,
    output: OutputOption = None,
    timeout: Timeout = 10.0,
) -> None:
    """Let the preferred leader lead: the first broker of a partition's replicas, if it is in sync.

    Example: `sprawl-admin partition elect orders 0`
    """
    from sprawl.admin.partitions import elect

    if (topic is None) != (partition is None):
        fail("Name a topic and a partition, or neither.", USAGE)
    if unclean and not yes:
        where = "every partition without a leader" if topic is None else f"{topic}-{partition}"
        typer.confirm(f"Elect a leader of {where} that may lack records?", abort=True)
    work = target(bootstrap, timeout)
    show_rows(run(work, lambda session: elect(session, topic, partition, unclean=unclean)), output)


def _brokers(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        fail(f"{text}: brokers are numbers with commas between them, such as 3,4.", USAGE)
    return [int(part) for part in parts]
