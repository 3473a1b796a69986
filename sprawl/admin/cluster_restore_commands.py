"""`sprawl-admin cluster restore`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sprawl.admin.options import Output, OutputOption, chosen, show
from sprawl.admin.session import USAGE, fail
from sprawl.admin.tier_access import FromOption, in_store


def cluster_restore(
    from_: FromOption,
    data_dir: Annotated[
        str, typer.Option("--data-dir", help="The new node's data directory: empty, or not there.", metavar="DIR")
    ],
    node_id: Annotated[int, typer.Option("--node-id", help="The new node's number.", metavar="N", min=0)] = 1,
    others: Annotated[
        str,
        typer.Option("--with-nodes", help="Nodes that will join it: they get replicas, too.", metavar="N[,N...]"),
    ] = "",
    cluster: Annotated[
        str, typer.Option("--cluster", help="Whose backup; otherwise that of the bucket's owner.", metavar="ID")
    ] = "",
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Leave out what is missing or damaged in the bucket.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "--execute", "-y", help="Do it; otherwise only show the plan.")] = False,
    output: OutputOption = None,
) -> None:
    """Build a cluster again from its bucket alone: topics, settings, records at their offsets, what groups committed.

    Writes the data directory of its first node, and makes the bucket the new cluster's. Stop the old cluster before.

    Example: `sprawl-admin cluster restore --from s3://bucket/prefix --data-dir /var/lib/sprawl --yes`
    """
    import posixpath

    from sprawl.admin.cluster_restore import Wish, restore

    wish = Wish(posixpath.abspath(data_dir), node_id, _nodes(others, node_id), cluster, accept_loss, yes)
    found: dict[str, Any] = in_store(from_, lambda store, runtime: restore(store, runtime, wish))
    if chosen(output) in (Output.TABLE, Output.WIDE):
        show(_for_people(found), output, "partitions")
    else:
        show(found, output, "partitions")
    said = (
        f"restored; start the node with remote.log.storage.system.enable=true and sprawl.tier.url={from_}"
        if yes
        else "nothing was changed; --yes does it"
    )
    typer.echo(
        f"{said}. What came after the backup was last written ({found['backup_written']}) is not known", err=True
    )


def _nodes(text: str, first: int) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdecimal() for part in parts) or len({first, *map(int, parts)}) != 1 + len(parts):
        fail(f"{text}: the other nodes are numbers, each once, and not {first}: --with-nodes 2,3", USAGE)
    return tuple(map(int, parts))


def _for_people(found: dict[str, Any]) -> dict[str, Any]:
    drawn = [
        f"{each['group']} in {each['topic']}-{each['partition']} from {each['committed']} to {each['restored']}"
        for each in found["commits_drawn_back"]
    ]
    told = {**found, "commits_drawn_back": "; ".join(drawn) or "-", "damages": "; ".join(found["damages"]) or "-"}
    return {name: value for name, value in told.items() if value is not None}
