"""The `sprawl-admin` command: noun, verb, `-o table|json`, exit codes of `sprawl.admin.session`.

Topics here; every other noun in a module of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sprawl.admin import (
    broker_commands,
    cluster_commands,
    cluster_restore_commands,
    completion,
    config_commands,
    event_commands,
    group_commands,
    import_commands,
    partition_commands,
    profile_commands,
    quorum_commands,
    record_commands,
    shims_commands,
    tier_commands,
)
from sprawl.admin.options import (
    LOCAL,
    Bootstrap,
    OutputOption,
    Timeout,
    Watch,
    listed,
    show,
    show_one,
    show_rows,
    target,
)
from sprawl.admin.record_commands import Topic
from sprawl.admin.session import USAGE, fail, run
from sprawl.admin.which_cluster import Root, remember

app = typer.Typer(
    cls=Root,
    name="sprawl-admin",
    help="Look at a cluster and change it. Works on any Kafka cluster. Exit codes: 0 done, 1 refused, 2 wrong usage, "
    "3 not found, 4 denied, 5 no broker reached, 6 conflict, 7 unhealthy, 8 done in part.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


@app.callback()
def root(
    profile: Annotated[
        str | None, typer.Option("--profile", envvar="SPRAWL_PROFILE", help="A cluster by name: `profile list`.")
    ] = None,
    command_config: Annotated[
        Path | None,
        typer.Option("--command-config", help="Settings of a Java client: bootstrap.servers, sasl.*, ssl.*."),
    ] = None,
) -> None:
    remember(profile, command_config)


cluster_app = cluster_commands.app
topic_app = typer.Typer(help="Topics.", no_args_is_help=True)
app.add_typer(cluster_app, name="cluster")
cluster_app.command("restore")(cluster_restore_commands.cluster_restore)
app.add_typer(broker_commands.app, name="broker")
app.add_typer(topic_app, name="topic")
app.add_typer(config_commands.app, name="config")
app.add_typer(group_commands.app, name="group")
app.add_typer(partition_commands.app, name="partition")
app.add_typer(event_commands.app, name="event")
app.add_typer(profile_commands.app, name="profile")
app.add_typer(quorum_commands.app, name="quorum")
app.add_typer(shims_commands.app, name="shims")
app.add_typer(tier_commands.app, name="tier")


@topic_app.command("list")
def topic_list(
    internal: Annotated[bool, typer.Option("--internal", help="Internal topics too.")] = False,
    bootstrap: Bootstrap = LOCAL,
    output: OutputOption = None,
    timeout: Timeout = 10.0,
    watch: Watch = None,
) -> None:
    """List topics.

    Example: `sprawl-admin topic list`
    """
    from sprawl.admin.topics import list_topics

    listed(target(bootstrap, timeout), lambda session: list_topics(session, internal=internal), output, watch)


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
    output: OutputOption = None,
    timeout: Timeout = 10.0,
) -> None:
    """Create a topic.

    Example: `sprawl-admin topic create orders --partitions 6 --set retention.ms=86400000`
    """
    from sprawl.admin.topics import NewTopic, create_topic

    topic = NewTopic(name, partitions, replicas, dict(_pair(text) for text in settings or ()))
    made = run(target(bootstrap, timeout), lambda session: create_topic(session, topic))
    show_one(made, output)


@topic_app.command("describe")
def topic_describe(
    name: Topic, bootstrap: Bootstrap = LOCAL, output: OutputOption = None, timeout: Timeout = 10.0
) -> None:
    """Show a topic's settings and partitions.

    Example: `sprawl-admin topic describe orders`
    """
    from sprawl.admin.topics import describe_topic

    found = run(target(bootstrap, timeout), lambda session: describe_topic(session, name))
    show(found, output, "partitions")


@topic_app.command("delete")
def topic_delete(
    names: Annotated[list[str], typer.Argument(autocompletion=completion.topics)],
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
    run(target(bootstrap, timeout), lambda session: delete_topics(session, names))
    typer.echo(f"deleted {', '.join(names)}")


topic_app.command("produce")(record_commands.topic_produce)
topic_app.command("consume")(record_commands.topic_consume)
topic_app.command("import")(import_commands.topic_import)


@topic_app.command("alter")
def topic_alter(
    name: Topic,
    partitions: Annotated[int, typer.Option("--partitions", "-p", help="As many in all; never fewer.", min=1)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Let the broker check it only.")] = False,
    bootstrap: Bootstrap = LOCAL,
    timeout: Timeout = 10.0,
) -> None:
    """Give a topic more partitions. Its settings: `config alter topic`.

    Example: `sprawl-admin topic alter orders --partitions 12`
    """
    from sprawl.admin.configs import add_partitions

    run(target(bootstrap, timeout), lambda session: add_partitions(session, name, partitions, only_check=dry_run))
    typer.echo(f"{name} {'would have' if dry_run else 'has'} {partitions} partitions")


@topic_app.command("trim")
def topic_trim(
    name: Topic,
    partition: Annotated[int | None, typer.Option("--partition", help="This one; otherwise each.", min=0)] = None,
    before: Annotated[
        int | None, typer.Option("--before", help="The first offset to keep; otherwise none is kept.", min=0)
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "--execute", "-y", help="Do it; otherwise only show the plan.")] = False,
    bootstrap: Bootstrap = LOCAL,
    output: OutputOption = None,
    timeout: Timeout = 10.0,
) -> None:
    """Delete a topic's oldest records. Without `--yes` it shows where each partition would begin.

    Example: `sprawl-admin topic trim orders --partition 0 --before 5000 --yes`
    """
    from sprawl.admin.configs import trim

    rows = run(target(bootstrap, timeout), lambda session: trim(session, name, partition, before, execute=yes))
    show_rows(rows, output)
    typer.echo("trimmed" if yes else "nothing was changed; --yes does it", err=True)


def main() -> None:
    """The entry point of the `sprawl-admin` command."""
    app()


def _pair(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        fail(f"{text}: a setting is KEY=VALUE, such as retention.ms=86400000.", USAGE)
    return key, value


if __name__ == "__main__":
    main()
