"""A minute of chaos: three real nodes, librdkafka and Java clients, a seed's faults; then all must be well, and nothing
lost. `python -m tools.chaos` runs longer.

Damage is left to those longer runs, because it waits until all replicas are in sync, which a loaded machine decides.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from compat_tests import brokers
from tools.chaos import isolation

_SEED = 4
_ROOT = Path(__file__).parents[2]
_SECONDS = 420
"""Far more than a run takes: about 90 s on two idle cores."""

pytestmark = [
    pytest.mark.timeout(_SECONDS + 60),
    pytest.mark.skipif(brokers.is_kafka(), reason="clusters are started of Sprawl only"),
]


def run(directory: Path, *options: str) -> tuple[int, dict[str, object], str]:
    command = [sys.executable, "-m", "tools.chaos", "--json", "--directory", str(directory), "--seed", str(_SEED)]
    with subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=_ROOT
    ) as process:
        try:
            out, said = process.communicate(timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            process.terminate()
            out, said = process.communicate(timeout=60)
            pytest.fail(f"no end within {_SECONDS} s:\n{said[-4000:]}")
    return process.returncode, json.loads(out or "{}"), said


def judged(code: int, told: dict[str, object], said: str, directory: Path) -> None:
    if code and (kept := os.environ.get("SPRAWL_CHAOS_KEEP")):
        shutil.copytree(directory, kept, dirs_exist_ok=True)
    assert code == 0, f"{told.get('problems')}\n{said[-6000:]}"
    operations, faults = told["operations"], told["faults"]
    assert isinstance(operations, dict)
    assert isinstance(faults, dict)
    assert operations["acked"] > 1000
    assert operations["polled"] > 1000
    assert sum(faults.values()) >= 3, f"hardly any fault happened: {faults}"


def test_a_cluster_survives_a_minute_of_faults(tmp_path: Path) -> None:
    obstacle = isolation.obstacle()
    if obstacle:
        pytest.skip(obstacle)
    directory = tmp_path / "run"
    kinds = "kill,pause,restart,isolate,split,mute,bridge,loss"
    judged(*run(directory, "--minutes", "0.75", "--round", "45", "--pause", "6", "--kinds", kinds), directory)


def test_nodes_are_harmed_on_the_loopback_device_too(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    options = ["--loopback", "--no-java", "--minutes", "0.25", "--round", "15", "--pause", "3"]
    judged(*run(directory, *options, "--kinds", "kill,pause,restart,split,slow"), directory)
