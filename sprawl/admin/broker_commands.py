"""`sprawl-admin broker ...`: who is there; emptying a broker before it leaves."""

from __future__ import annotations

from typing import Annotated

import typer

from sprawl.admin import completion
from sprawl.admin.options import LOCAL, Bootstrap, OutputOption, Timeout, Watch, listed, show, target
from sprawl.admin.session import Target, run

app = typer.Typer(help="Brokers.", no_args_is_help=True)
Id = Annotated[int, typer.Argument(help="The broker's id.", min=0, autocompletion=completion.brokers)]


@app.command("list")
def broker_list(
    bootstrap: Bootstrap = LOCAL, output: OutputOption = None, timeout: Timeout = 10.0, watch: Watch = None
) -> None:
    """List brokers: where they are, whether they are active, how much they lead and hold.

    Example: `sprawl-admin broker list`
    """
    from sprawl.admin.brokers import list_brokers

    listed(target(bootstrap, timeout), list_brokers, output, watch)


@app.command("describe")
def broker_describe(
    broker: Id, bootstrap: Bootstrap = LOCAL, output: OutputOption = None, timeout: Timeout = 10.0
) -> None:
    """Show where a broker is, what it holds and leads, how full its disks are, and the settings made for it.

    Example: `sprawl-admin broker describe 1`
    """
    from sprawl.admin.brokers import describe_broker

    show(run(target(bootstrap, timeout), lambda session: describe_broker(session, broker)), output, "directories")


@app.command("drain")
def broker_drain(
    broker: Id,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait until it is empty.")] = False,
    bootstrap: Bootstrap = LOCAL,
    timeout: Timeout = 10.0,
) -> None:
    """Have everything on a broker moved to others, before it is stopped for good. It serves clients meanwhile.

    The cluster does it by itself; whoever stops watching does not stop it. `resume` does.

    Example: `sprawl-admin broker drain 3`
    """
    from sprawl.admin.brokers import drain

    if no_wait:
        run(target(bootstrap, timeout), lambda session: drain(session, broker, None))
        typer.echo(f"broker {broker} is being emptied")
        return
    try:
        _watched(target(bootstrap, timeout), broker)
    except KeyboardInterrupt:
        typer.echo(f"broker {broker} is emptied further; `sprawl-admin broker resume {broker}` gives it its share back")
        raise typer.Exit(1) from None
    typer.echo(f"broker {broker} is empty: it can be stopped")


@app.command("resume")
def broker_resume(broker: Id, bootstrap: Bootstrap = LOCAL, timeout: Timeout = 10.0) -> None:
    """Give a broker its share of partitions again after a drain.

    Example: `sprawl-admin broker resume 3`
    """
    from sprawl.admin.brokers import resume

    run(target(bootstrap, timeout), lambda session: resume(session, broker))
    typer.echo(f"broker {broker} is given its share of partitions again")


def _watched(where: Target, broker: int) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from sprawl.admin.brokers import drain

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task(f"broker {broker}", total=None)
        most = 0

        def watch(left: int, led: int) -> None:
            nonlocal most
            most = max(most, left)
            progress.update(bar, total=most, completed=most - left, description=f"broker {broker}: leads {led}, moved")

        run(where, lambda session: drain(session, broker, watch))
