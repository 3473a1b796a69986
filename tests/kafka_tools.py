"""Kafka's own tools, where Java and Kafka are at hand: the judge of files that claim to be in Kafka's format."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

_LIBRARIES = sorted((Path(__file__).parents[1] / ".cache" / "kafka").glob("*/libs"))
_JAVA = shutil.which("java")

needs_kafka = pytest.mark.skipif(
    _JAVA is None or not _LIBRARIES, reason="needs java, and Kafka in .cache/kafka (`make kafka` fetches it)"
)


def dump_log_segments(path: Path, *options: str) -> str:
    """What Kafka's DumpLogSegments prints of a file; fails if it finds a batch that is not valid."""
    assert _JAVA is not None
    command = [_JAVA, "-cp", f"{_LIBRARIES[-1]}/*", "org.apache.kafka.tools.DumpLogSegments"]
    run = subprocess.run([*command, *options, "--files", str(path)], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert "isvalid: false" not in run.stdout
    return run.stdout
