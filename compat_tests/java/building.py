"""Compiles the Java program of the scenarios."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tools.bench.kafka_dist import obtain

_SOURCE = Path(__file__).with_name("program") / "Scenarios.java"


def build(where: Path) -> list[str]:
    """The command that runs a scenario in a JVM of its own."""
    javac, dist = shutil.which("javac"), obtain()
    assert javac is not None, "the tests are skipped without a compiler"
    command = [javac, "-nowarn", "-cp", dist.classpath, "-d", str(where), str(_SOURCE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    command = dist.command("Scenarios")
    command[command.index("-cp") + 1] = f"{where}:{dist.classpath}"
    return command
