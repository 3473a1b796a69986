"""Builds the programs under `go/`, once per run; Go's own cache makes that quick."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SOURCES = Path(__file__).with_name("go")


def build(name: str, where: Path) -> list[str]:
    """The command of the program `name`. Skips where its modules can't be had."""
    program = where / name
    command = ["go", "build", "-o", str(program), f"./{name}"]
    done = subprocess.run(command, cwd=SOURCES, capture_output=True, text=True, check=False)
    if done.returncode != 0 and ("dial tcp" in done.stderr or "lookup" in done.stderr or "toolchain" in done.stderr):
        pytest.skip(f"Go could not get the modules: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return [str(program)]
