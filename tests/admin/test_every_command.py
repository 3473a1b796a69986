"""Every command of `sprawl-admin`, found by walking: each explains itself, with an example of its own name; and what
docs/admin.md shows are commands that exist, with options that they have."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from sprawl.admin import cli

ROOT: Any = typer.main.get_command(cli.app)
DOCS = Path(__file__).parents[2] / "docs" / "admin.md"


def walk(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from walk(inner, (*path, name))
    else:
        yield path, command


COMMANDS = dict(walk(ROOT))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_with_an_example(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli.app, [*path, "--help"])
    assert result.exit_code == 0
    said = " ".join(result.stdout.split())
    assert "Example:" in said
    assert f"sprawl-admin {' '.join(path)}" in said


def shown() -> list[str]:
    lines = re.findall(r"^ {4}(sprawl-admin .*)$", DOCS.read_text(), re.MULTILINE)
    return [part.strip() for line in lines for part in line.split(" # ")[0].split("|")]


@pytest.mark.parametrize("line", shown())
def test_what_the_docs_show_can_be_said(line: str) -> None:
    words = shlex.split(line)[1:]
    context = ROOT.make_context("sprawl-admin", list(words), resilient_parsing=True)
    command, rest = ROOT, [*context._protected_args, *context.args]
    path: tuple[str, ...] = ()
    while hasattr(command, "commands"):
        name = rest.pop(0)
        assert name in command.commands, f"{line}: there is no {name}"
        command, path = command.commands[name], (*path, name)
    command.make_context(" ".join(path), rest)  # raises where an option or argument is not known


def test_the_docs_show_something() -> None:
    assert len(shown()) > 10
