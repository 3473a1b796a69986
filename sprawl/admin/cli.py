"""The `sprawl-admin` command: noun, verb, `-o table|json`, exit codes of `sprawl.admin.session`."""

from __future__ import annotations

import enum
from typing import Annotated, Any, Final

import typer

from sprawl.admin.session import USAGE, Target, fail, run
from sprawl.admin.tables import print_json, print_table

app = typer.Typer(
    name="sprawl-admin",
    help="Look at a cluster and change it. Works on any Kafka cluster. Exit codes: 0 done, 1 refused, 2 wrong usage, "
    "5 no broker reached.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
cluster_app = typer.Typer(help="The cluster as a whole.", no_args_is_help=True)
topic_app = typer.Typer(help="Topics.", no_args_is_help=True)
app.add_typer(cluster_app, name="cluster")
app.add_typer(topic_app, name="topic")


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


@cluster_app.command("describe")
def cluster_describe(
    bootstrap: Bootstrap = LOCAL, output: OutputOption = Output.TABLE, timeout: Timeout = 10.0
) -> None:
    """Show the cluster's id, its controller and its brokers.

    Example: `sprawl-admin cluster describe -o json`
    """
    from sprawl.admin.cluster import describe_cluster

    found = run(_target(bootstrap, timeout), describe_cluster)
    _show(found, output, "brokers")


@topic_app.command("list")
def topic_list(
    internal: Annotated[bool, typer.Option("--internal", help="Internal topics too.")] = False,
    bootstrap: Bootstrap = LOCAL,
    output: OutputOption = Output.TABLE,
    timeout: Timeout = 10.0,
) -> None:
    """List topics.

    Example: `sprawl-admin topic list`
    """
    from sprawl.admin.topics import list_topics

    rows = run(_target(bootstrap, timeout), lambda session: list_topics(session, internal=internal))
    if output is Output.JSON:
        print_json(rows)
    else:
        print_table(rows)


@topic_app.command("create")
def topic_create(
    name: str,
    partitions: Annotated[
        int, typer.Option("--partitions", "-p", help="-1: the broker's `num.partitions`.", metavar="N")
    ] = -1,
    replicas: Annotated[
        int, typer.Option("--replicas", "-r", help="-1: the broker's `default.replication.factor`.", metavar="N")
    ] = -1,
    settings: Annotated[
        list[str] | None, typer.Option("--set", "-s", help="A topic setting; may be repeated.", metavar="KEY=VALUE")
    ] = None,
    bootstrap: Bootstrap = LOCAL,
    output: OutputOption = Output.TABLE,
    timeout: Timeout = 10.0,
) -> None:
    """Create a topic.

    Example: `sprawl-admin topic create orders --partitions 6 --set retention.ms=86400000`
    """
    from sprawl.admin.topics import NewTopic, create_topic

    topic = NewTopic(name, partitions, replicas, dict(_pair(text) for text in settings or ()))
    made = run(_target(bootstrap, timeout), lambda session: create_topic(session, topic))
    if output is Output.JSON:
        print_json(made)
    else:
        print_table([made])


@topic_app.command("describe")
def topic_describe(
    name: str, bootstrap: Bootstrap = LOCAL, output: OutputOption = Output.TABLE, timeout: Timeout = 10.0
) -> None:
    """Show a topic's settings and partitions.

    Example: `sprawl-admin topic describe orders`
    """
    from sprawl.admin.topics import describe_topic

    found = run(_target(bootstrap, timeout), lambda session: describe_topic(session, name))
    _show(found, output, "partitions")


@topic_app.command("delete")
def topic_delete(
    names: list[str],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    bootstrap: Bootstrap = LOCAL,
    timeout: Timeout = 10.0,
) -> None:
    """Delete topics and all their records.

    Example: `sprawl-admin topic delete orders --yes`
    """
    from sprawl.admin.topics import delete_topics

    if not yes:
        typer.confirm(f"Delete {', '.join(names)} and all records in them?", abort=True)
    run(_target(bootstrap, timeout), lambda session: delete_topics(session, names))
    typer.echo(f"deleted {', '.join(names)}")


def main() -> None:
    """The entry point of the `sprawl-admin` command."""
    app()


def _target(bootstrap: str, timeout: float) -> Target:
    return Target(tuple(part.strip() for part in bootstrap.split(",") if part.strip()), timeout)


def _pair(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        fail(f"{text}: a setting is KEY=VALUE, such as retention.ms=86400000.", USAGE)
    return key, value


def _show(found: dict[str, Any], output: Output, rows: str) -> None:
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
    print_table([{key: _joined(value) for key, value in row.items()} for row in found[rows]])


def _joined(value: object) -> object:
    return ",".join(str(item) for item in value) if isinstance(value, list) else value


if __name__ == "__main__":
    main()
