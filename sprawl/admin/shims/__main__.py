"""`python -m sprawl.admin.shims NAME FLAGS...`: what an installed shim runs."""

from __future__ import annotations

import sys

import typer

from sprawl.admin.session import USAGE
from sprawl.admin.shims import configs, console, topics

COMMANDS = {
    "kafka-topics": topics.main,
    "kafka-configs": configs.main,
    "kafka-console-producer": console.produce,
    "kafka-console-consumer": console.consume,
}


def main(words: list[str]) -> int:
    if not words or words[0] not in COMMANDS:
        typer.echo(f"Error: one of {', '.join(COMMANDS)}", err=True)
        return USAGE
    try:
        COMMANDS[words[0]](words[1:])
    except typer.Exit as leaving:
        return leaving.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
