"""Names for the shell to complete: those of the cluster that the variable SPRAWL_BOOTSTRAP or the profile in use names.

Quick and silent: a cluster that does not answer within a second completes to nothing.
"""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable
from contextlib import redirect_stderr
from dataclasses import replace
from typing import Any, Final

import typer

from sprawl.admin.options import environment_target
from sprawl.admin.session import Session, run

_PATIENCE: Final = 1.0


def topics(incomplete: str) -> list[str]:
    from sprawl.admin.topics import list_topics

    return _names(lambda session: list_topics(session, internal=True), incomplete)


def groups(incomplete: str) -> list[str]:
    from sprawl.admin.groups import list_groups

    return _names(list_groups, incomplete)


def brokers(incomplete: str) -> list[str]:
    from sprawl.admin.brokers import list_brokers

    return _names(list_brokers, incomplete)


def _names(work: Callable[[Session], Awaitable[list[dict[str, Any]]]], incomplete: str) -> list[str]:
    """The first value of each row that begins as what is there."""
    try:
        with redirect_stderr(io.StringIO()):
            rows = run(replace(environment_target(), timeout=_PATIENCE), work)
    except (typer.Exit, OSError):
        return []
    names = [str(next(iter(row.values()))) for row in rows]
    return [name for name in names if name.startswith(incomplete)]
