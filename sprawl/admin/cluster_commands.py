"""`sprawl-admin cluster describe|doctor`: the cluster as a whole, and whether it is well."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from sprawl.admin.options import LOCAL, Bootstrap, OutputOption, Timeout, show, show_rows, target
from sprawl.admin.session import UNHEALTHY, run

app = typer.Typer(help="The cluster as a whole.", no_args_is_help=True)


@app.command("describe")
def cluster_describe(bootstrap: Bootstrap = LOCAL, output: OutputOption = None, timeout: Timeout = 10.0) -> None:
    """Show the cluster's id, its controller and its brokers.

    Example: `sprawl-admin cluster describe -o json`
    """
    from sprawl.admin.cluster import describe_cluster

    show(run(target(bootstrap, timeout), describe_cluster), output, "brokers")


@app.command("doctor")
def cluster_doctor(
    most_lag: Annotated[
        int, typer.Option("--max-lag", help="A group further behind is worth a warning.", metavar="RECORDS", min=0)
    ] = 100_000,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 7 for warnings too.")] = False,
    bootstrap: Bootstrap = LOCAL,
    output: OutputOption = None,
    timeout: Timeout = 10.0,
) -> None:
    """Examine the cluster: brokers, partitions, controller, clocks, disks, lag, settings at risk.

    Exit code 7 if anything is critical. What could not be found out is said, and does no harm.

    Example: `sprawl-admin cluster doctor --max-lag 1000`
    """
    from sprawl.admin.doctor import Level, diagnose
    from sprawl.admin.doctor_facts import facts_of

    findings = diagnose(run(target(bootstrap, timeout), facts_of), most_lag=most_lag)
    rows: list[dict[str, Any]] = [asdict(each) for each in findings]
    show_rows(rows, output)
    bad = {Level.CRITICAL, Level.WARNING} if strict else {Level.CRITICAL}
    if any(each.level in bad for each in findings):
        raise typer.Exit(UNHEALTHY)
