"""`sprawl-admin tier ...`: whether the cloud tier has what it should."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from sprawl.admin.options import LOCAL, Bootstrap, OutputOption, Timeout, show, target
from sprawl.admin.session import NOT_FOUND, UNHEALTHY, RefusedError, Session, run
from sprawl.admin.tier_access import in_store

if TYPE_CHECKING:
    from sprawl.tiers.verify_bucket import Progress, Report

app = typer.Typer(help="The cloud tier.", no_args_is_help=True)

_SETTING: Final = "sprawl.tier.url"


@app.command("verify")
def tier_verify(
    from_: Annotated[
        str, typer.Option("--from", help="The bucket; otherwise that of the cluster asked.", metavar="URL")
    ] = "",
    deep: Annotated[
        bool, typer.Option("--deep", help="Read every byte and compare checksums; otherwise names and sizes only.")
    ] = False,
    orphans: Annotated[
        float,
        typer.Option(
            "--orphan-age",
            help="How old an object that no segment speaks of must be to count.",
            metavar="SECONDS",
            min=0.0,
        ),
    ] = 7200.0,
    bootstrap: Bootstrap = LOCAL,
    output: OutputOption = None,
    timeout: Timeout = 10.0,
) -> None:
    """Check each object in the bucket against what the cluster says of it. Exit code 7 if anything is wrong.

    Example: `sprawl-admin tier verify --from s3://bucket/prefix --deep`
    """
    from sprawl.tiers.verify_bucket import verify

    url = from_ or run(target(bootstrap, timeout), _url)
    with _bar(shown=deep) as progress:
        report = in_store(
            url,
            lambda store, runtime: verify(store, runtime, deep=deep, orphan_seconds=orphans, progress=progress),
        )
    show(_told(url, report), output, "findings")
    if report.findings:
        raise typer.Exit(UNHEALTHY)


async def _url(session: Session) -> str:
    """Where the cluster's tier is. Raises `RefusedError`, `ClientError`."""
    from sprawl.admin.configs import describe_settings

    broker = next(iter(await session.brokers()), -1)
    settings = await describe_settings(session, "broker", str(broker), everything=True)
    url = next((each["value"] for each in settings if each["name"] == _SETTING), None)
    if not url:
        raise RefusedError(
            f"broker {broker} has no {_SETTING}: name the tier with --from (a node's own is the directory `tier` in "
            "its data directory: --from file:///...)",
            NOT_FOUND,
        )
    return str(url)


def _told(url: str, report: Report) -> dict[str, Any]:
    backup = report.backup
    names = {each.id: each.name for each in backup.cluster.topics}
    return {
        "url": url,
        "cluster_id": backup.cluster_id,
        "backup_written": datetime.fromtimestamp(backup.time_ms / 1000, UTC).isoformat(timespec="seconds"),
        "segments": report.segments,
        "objects": report.objects,
        "bytes": report.bytes,
        "bytes_read": report.read_bytes,
        "unsettled": report.unsettled,
        "healthy": not report.findings,
        "findings": [
            {
                "object": each.object,
                "trouble": each.trouble.value,
                "partition": None
                if each.partition is None
                else f"{names.get(each.partition[0], each.partition[0])}-{each.partition[1]}",
                "first_offset": each.start if each.start >= 0 else None,
                "last_offset": each.end - 1 if each.start >= 0 else None,
                "what": each.what,
            }
            for each in report.findings
        ],
    }


@contextmanager
def _bar(*, shown: bool) -> Iterator[Progress]:
    """On standard error, if that is a terminal."""
    if not shown:
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
