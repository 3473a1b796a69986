"""The entry point of the `sprawl` command, and the short way to a running node.

A start from plain options goes straight to the node: describing all commands (Typer and what it imports) takes a tenth
of a second, which a node that must be up in half of one does not have. Everything else, `--help` and mistakes
among them, goes to `sprawl.commands`. Both ways end in `options.load_start`, so that they cannot differ in meaning.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final, NamedTuple

from sprawl.options import KEYS, USAGE, load_start

_SHORT: Final = {"-d": "--data-dir", "-c": "--config", "-s": "--set"}


class PlainStart(NamedTuple):
    """A `start` that needs no further reading."""

    file: str | None
    pairs: list[str]
    options: dict[str, str | None]
    nodes: int | None
    restart: bool


def main() -> None:
    """Run the command line."""
    plain = plain_start(sys.argv[1:])
    if plain is None:
        from sprawl.commands import app

        app()
    else:
        sys.exit(_start(plain))


def plain_start(arguments: Sequence[str]) -> PlainStart | None:
    """None for everything else."""
    if arguments[:1] != ["start"]:
        return None
    file: str | None = None
    pairs: list[str] = []
    options: dict[str, str | None] = {}
    nodes: int | None = None
    restart = False
    rest = iter(arguments[1:])
    for word in rest:
        name, separator, value = word.partition("=")
        name = _SHORT.get(name, name) if not separator else name
        if name == "--insecure" and not separator:
            options["insecure"] = "true"
            continue
        if word == "--restart":
            restart = True
            continue
        key = name.removeprefix("--").replace("-", "_")
        if not name.startswith("--") or key not in ("config", "set", "nodes", *KEYS) or key == "insecure":
            return None
        if not separator:
            value = next(rest, "")
        if not value or value.startswith("-") or (key in ("node_id", "nodes") and not value.isdecimal()):
            return None
        if key == "set":
            pairs.append(value)
        elif key == "config":
            file = value
        elif key == "nodes":
            nodes = int(value)
        elif key == "seeds" and "seeds" in options:
            options[key] = f"{options[key]},{value}"
        else:
            options[key] = value
    if nodes == 0 or (restart and nodes is None):
        return None
    return PlainStart(file, pairs, options, nodes, restart)


def _start(plain: PlainStart) -> int:
    from sprawl.config.errors import ConfigError

    try:
        loaded = load_start(plain.file, plain.pairs, plain.options)
        if plain.nodes is not None:
            from sprawl import supervisor

            return supervisor.run(loaded, plain.nodes, restart=plain.restart)
    except ConfigError as problem:
        print(f"Error: {problem}", file=sys.stderr)  # noqa: T201 - the command's answer
        return USAGE
    from sprawl.process import run

    return run(loaded)


if __name__ == "__main__":
    main()
