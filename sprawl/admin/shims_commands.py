"""`sprawl-admin shims install`: Kafka's command names, where the user wants them and nowhere else."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from sprawl.admin.session import CONFLICT, fail

app = typer.Typer(help="Kafka's own command names, for scripts that call them.", no_args_is_help=True)


@app.callback()
def shims() -> None:
    """Kafka's own command names, for scripts that call them."""


@app.command("install")
def shims_install(
    directory: Annotated[Path, typer.Argument(help="Where to; put it on the PATH of the scripts.")],
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
) -> None:
    """Write small scripts with the names of Kafka's commands, with and without `.sh`.

    Example: `sprawl-admin shims install ~/kafka-shims`
    """
    from sprawl.admin.shims.__main__ import COMMANDS

    paths = [(name, directory / f"{name}{ending}") for name in COMMANDS for ending in ("", ".sh")]
    there = [str(path) for _, path in paths if path.exists()]
    if there and not force:
        fail(f"{', '.join(there)}: is there already; --force replaces it", CONFLICT)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, path in paths:
            path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m sprawl.admin.shims {name} "$@"\n')
            path.chmod(0o755)
    except OSError as problem:
        fail(f"{directory}: {problem.strerror or problem}", 1)
    typer.echo(f"installed {', '.join(COMMANDS)} in {directory}")
