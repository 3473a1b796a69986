"""Small programs in other languages: each is called with a broker, a scenario and a name, and ends with `held` if the
scenario did."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

Scenario = Callable[..., None]
SECONDS = 100.0


def caller(command: list[str], bootstrap: str, new_name: Callable[[], str], *, replicas: int = 1) -> Scenario:
    """`scenario(name, *options)`: runs the program on a topic (and group) name of its own, and fails with what it
    said."""
    environment = {**os.environ, "REPLICAS": str(replicas)}

    def run(scenario: str, *options: str) -> None:
        arguments = [*command, bootstrap, scenario, new_name(), *options]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=SECONDS, check=False, env=environment)
        assert done.returncode == 0, f"{done.stderr}{done.stdout}"
        assert done.stdout.rstrip().endswith("held")

    return run
