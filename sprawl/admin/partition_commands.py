"""`sprawl-admin partition ...`: where partitions live, and who leads them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sprawl.admin import completion
from sprawl.admin.options import LOCAL, Bootstrap, OutputOption, Timeout, Watch, listed, show, show_rows, target
from sprawl.admin.session import USAGE, fail, run

app = typer.Typer(help="Where partitions live, and who leads them.", no_args_is_help=True)

Topic = Annotated[str, typer.Argument(autocompletion=completion.topics)]


@app.command("list")
def partition_list(
    topics: Annotated[list[str] | None, typer.Argument(help="Of these topics; otherwise of all.")] = None,
    under_replicated: Annotated[
        bool, typer.Option("--under-replicated", help="Those with replicas that are not in sync.")
    ] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Those without a leader.")] = False,
    broker: Annotated[int | None, typer.Option("--broker", help="Those that live on this broker.", min=0)] = None,
    bootstrap: Bootstrap = LOCAL,
    output: OutputOption = None,
    timeout: Timeout = 10.0,
    watch: Watch = None,
) -> None:
    """List partitions: where they live, who leads them, which replicas are in sync.

    Example: `sprawl-admin partition list --under-replicated`
    """
    from sprawl.admin.partition_listing import list_partitions
    from sprawl.admin.session import Session

    async def work(session: Session) -> list[dict[str, Any]]:
        return await list_partitions(
            session, topics or (), under_replicated=under_replicated, offline=offline, broker=broker
        )

    listed(target(bootstrap, timeout), work, output, watch)


@app.command("describe")
def partition_describe(
    topic: Topic,
    partition: Annotated[int, typer.Argument(min=0)],
    bootstrap: Bootstrap = LOCAL,
    output: OutputOption = None,
    timeout: Timeout = 10.0,
) -> None:
    """Show where a partition's log begins and ends, and how much of it each replica has.

    Example: `sprawl-admin partition describe orders 0`
    """
    from sprawl.admin.partition_listing import describe_partition

    found = run(target(bootstrap, timeout), lambda session: describe_partition(session, topic, partition))
    show(found, output, "replicas")


@app.command("move")
def partition_move(
    topic: Topic,
    partition: Annotated[int, typer.Argument(min=0)],
    to: Annotated[
        str | None,
        typer.Option("--to", help="The brokers it is to live on, the preferred leader first.", metavar="ID,..."),
    ] = None,
    cancel: Annotated[bool, typer.Option("--cancel", help="Take back the move that is under way.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "--execute", "-y", help="Do it; otherwise only show the plan.")] = False,
    bootstrap: Bootstrap = LOCAL,
    output: OutputOption = None,
    timeout: Timeout = 10.0,
) -> None:
    """Move a partition to other brokers. It is copied first, and served all the while; `moves` shows what is under way.

    Without `--yes` it shows the plan, and nothing happens. `--cancel` needs no `--yes`.

    Example: `sprawl-admin partition move orders 0 --to 3,4 --yes`
    """
    from sprawl.admin.partition_listing import plan_move
    from sprawl.admin.partitions import move
    from sprawl.admin.session import Session

    if (to is None) != cancel:
        fail("Say where the partition is to go (--to 3,4), or --cancel.", USAGE)
    if to is None:
        run(target(bootstrap, timeout), lambda session: move(session, topic, partition, None))
        typer.echo(f"{topic}-{partition}: the move is cancelled")
        return
    brokers = _brokers(to)

    async def work(session: Session) -> list[dict[str, Any]]:
        rows = await plan_move(session, topic, partition, brokers)
        if yes:
            await move(session, topic, partition, brokers)
        return rows

    show_rows(run(target(bootstrap, timeout), work), output)
    typer.echo(f"{topic}-{partition} is on its way to {to}" if yes else "nothing was changed; --yes does it", err=True)


@app.command("moves")
def partition_moves(
    bootstrap: Bootstrap = LOCAL, output: OutputOption = None, timeout: Timeout = 10.0, watch: Watch = None
) -> None:
    """Show the moves that are under way.

    Example: `sprawl-admin partition moves`
    """
    from sprawl.admin.partitions import moves

    listed(target(bootstrap, timeout), moves, output, watch)


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
