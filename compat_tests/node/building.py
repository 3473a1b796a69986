"""Puts the kafkajs program of the scenarios, with its packages, into a directory of its own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

_HERE = Path(__file__).resolve().parent


def build(where: Path) -> list[str]:
    """The command that runs a scenario. Skips where kafkajs can't be had."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    for source in (_HERE / "package.json", _HERE / "program" / "scenarios.js"):
        shutil.copy(source, where)
    command = [npm, "install", "--no-audit", "--no-fund", "--no-package-lock"]
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"npm could not get kafkajs: {done.stderr.splitlines()[-1:]}")
    return ["node", str(where / "scenarios.js")]
