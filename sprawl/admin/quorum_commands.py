"""`sprawl-admin quorum ...`: who keeps the metadata, and who votes on it."""

from __future__ import annotations

from typing import Annotated

import typer

from sprawl.admin.options import LOCAL, Bootstrap, OutputOption, Timeout, show, target
from sprawl.admin.session import run

app = typer.Typer(help="The quorum that decides on the metadata.", no_args_is_help=True)
Node = Annotated[int, typer.Argument(min=0, help="The node's number.", metavar="NODE")]


@app.command("describe")
def quorum_describe(bootstrap: Bootstrap = LOCAL, output: OutputOption = None, timeout: Timeout = 10.0) -> None:
    """Show who leads, who votes, who follows, and how far each has come.

    Example: `sprawl-admin quorum describe`
    """
    from sprawl.admin.quorum import describe_quorum

    show(run(target(bootstrap, timeout), describe_quorum), output, "replicas")


@app.command("add-voter")
def quorum_add_voter(node: Node, bootstrap: Bootstrap = LOCAL, timeout: Timeout = 10.0) -> None:
    """Let a node vote. The cluster keeps 1, 3 or 5 voters: another one makes room for it.

    Example: `sprawl-admin quorum add-voter 4`
    """
    from sprawl.admin.quorum import add_voter

    run(target(bootstrap, timeout), lambda session: add_voter(session, node))
    typer.echo(f"node {node} votes")


@app.command("remove-voter")
def quorum_remove_voter(node: Node, bootstrap: Bootstrap = LOCAL, timeout: Timeout = 10.0) -> None:
    """Let a node vote no more. Another one takes its place, if there is one.

    Example: `sprawl-admin quorum remove-voter 2`
    """
    from sprawl.admin.quorum import remove_voter

    run(target(bootstrap, timeout), lambda session: remove_voter(session, node))
    typer.echo(f"node {node} votes no more")
