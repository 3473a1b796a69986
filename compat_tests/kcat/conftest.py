"""kcat as a command: arguments and bytes in, bytes out."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

Kcat = Callable[..., bytes]


class KcatFailedError(Exception):
    """kcat ended with an exit code other than 0; the message is what it said."""


@pytest.fixture
def kcat(bootstrap: str) -> Kcat:
    def run(*arguments: str, given: bytes = b"", seconds: float = 60.0) -> bytes:
        command = ["kcat", "-b", bootstrap, *arguments]
        done = subprocess.run(command, input=given, capture_output=True, timeout=seconds, check=False)
        if done.returncode != 0:
            raise KcatFailedError(done.stderr.decode(errors="replace"))
        return done.stdout

    return run
