"""`sprawl-admin config ...`: settings of topics, brokers and groups, and how they differ from their defaults."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from sprawl.admin.options import LOCAL, Bootstrap, OutputOption, Timeout, show_rows, target
from sprawl.admin.session import USAGE, fail, run

app = typer.Typer(help="Settings of topics, brokers and groups.", no_args_is_help=True)


class Kind(enum.StrEnum):
    TOPIC = "topic"
    BROKER = "broker"
    GROUP = "group"


@app.command("describe")
def config_describe(
    kind: Kind,
    name: str,
    everything: Annotated[bool, typer.Option("--all", help="Those at their defaults, too.")] = False,
    bootstrap: Bootstrap = LOCAL,
    output: OutputOption = None,
    timeout: Timeout = 10.0,
) -> None:
    """Show what differs from its default, and who set it.

    Example: `sprawl-admin config describe topic orders`
    """
    from sprawl.admin.configs import describe_settings

    work = target(bootstrap, timeout)
    show_rows(run(work, lambda session: describe_settings(session, kind, name, everything=everything)), output)


@app.command("alter")
def config_alter(
    kind: Kind,
    name: str,
    settings: Annotated[
        list[str] | None, typer.Option("--set", "-s", help="May be repeated.", metavar="KEY=VALUE")
    ] = None,
    unset: Annotated[
        list[str] | None, typer.Option("--unset", "-u", help="Back to its default; may be repeated.", metavar="KEY")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Let the broker check it only.")] = False,
    bootstrap: Bootstrap = LOCAL,
    timeout: Timeout = 10.0,
) -> None:
    """Change settings, or put them back to their defaults.

    Example: `sprawl-admin config alter topic orders --set retention.ms=86400000 --unset cleanup.policy`
    """
    from sprawl.admin.configs import alter_settings

    changes: dict[str, str | None] = dict.fromkeys(unset or ())
    for text in settings or ():
        key, separator, value = text.partition("=")
        if not separator or not key:
            fail(f"{text}: a setting is KEY=VALUE, such as retention.ms=86400000.", USAGE)
        changes[key] = value
    if not changes:
        fail("Say what to change: --set KEY=VALUE or --unset KEY.", USAGE)
    work = target(bootstrap, timeout)
    run(work, lambda session: alter_settings(session, kind, name, changes, only_check=dry_run))
    typer.echo(f"{kind} {name}: " + ("would be changed" if dry_run else "changed"))
