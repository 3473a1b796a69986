"""`sprawl-admin profile ...`: clusters by name, so that their addresses need not be said each time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from sprawl.admin.client_settings import BadSettings, client_settings, read_settings
from sprawl.admin.options import OutputOption, show_rows
from sprawl.admin.profiles import FILE, Profiles, load, save
from sprawl.admin.session import CONFLICT, NOT_FOUND, USAGE, fail

app = typer.Typer(help="Clusters by name.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The profile's name.")]


@app.command("list")
def profile_list(output: OutputOption = None) -> None:
    """List profiles. Secrets are not shown.

    Example: `sprawl-admin profile list`
    """
    profiles = _loaded()
    rows = [
        {
            "name": name,
            "bootstrap": settings.get("bootstrap.servers"),
            "protocol": settings.get("security.protocol", "PLAINTEXT"),
            "mechanism": settings.get("sasl.mechanism"),
            "current": name == profiles.current,
        }
        for name, settings in sorted(profiles.by_name.items())
    ]
    show_rows(rows, output)


@app.command("add")
def profile_add(
    name: Name,
    bootstrap: Annotated[
        str | None, typer.Option("--bootstrap-server", "--bootstrap", "-b", metavar="HOST:PORT[,...]")
    ] = None,
    settings_file: Annotated[
        Path | None, typer.Option("--from", help="Settings of a Java client, copied from this file.", metavar="FILE")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Also where there is such a profile.")] = False,
) -> None:
    """Add a profile. The first one is used from then on. The file is readable by nobody else.

    Example: `sprawl-admin profile add prod --bootstrap-server broker-1:9092 --from client.properties`
    """
    profiles = _loaded()
    if name in profiles.by_name and not overwrite:
        fail(f"there is a profile {name}; --overwrite replaces it", CONFLICT)
    try:
        settings = {} if settings_file is None else read_settings(settings_file)
        if bootstrap is not None:
            settings["bootstrap.servers"] = bootstrap
        if not settings.get("bootstrap.servers"):
            fail("Say where the cluster is: --bootstrap-server, or bootstrap.servers in the file.", USAGE)
        client_settings(settings)
        save(profiles_file(), Profiles(profiles.current or name, {**profiles.by_name, name: settings}))
    except BadSettings as problem:
        fail(str(problem), USAGE)
    typer.echo(f"added {name}" + ("" if profiles.current else "; it is used from now on"))


@app.command("use")
def profile_use(name: Name) -> None:
    """Use a profile where neither `--profile` nor `--bootstrap-server` is given.

    Example: `sprawl-admin profile use prod`
    """
    profiles = _loaded()
    if name not in profiles.by_name:
        _missing(name)
    _save(replace(profiles, current=name))
    typer.echo(f"using {name}")


@app.command("remove")
def profile_remove(name: Name) -> None:
    """Remove a profile. The cluster is not touched.

    Example: `sprawl-admin profile remove prod`
    """
    profiles = _loaded()
    if name not in profiles.by_name:
        _missing(name)
    others = {other: settings for other, settings in profiles.by_name.items() if other != name}
    _save(Profiles(None if profiles.current == name else profiles.current, others))
    typer.echo(f"removed {name}")


def profiles_file() -> Path:
    return Path(typer.get_app_dir("sprawl")) / FILE


def _loaded() -> Profiles:
    try:
        return load(profiles_file())
    except BadSettings as problem:
        fail(str(problem), USAGE)


def _save(profiles: Profiles) -> None:
    try:
        save(profiles_file(), profiles)
    except BadSettings as problem:
        fail(str(problem), USAGE)


def _missing(name: str) -> NoReturn:
    fail(f"there is no profile {name}", NOT_FOUND)
