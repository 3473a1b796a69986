"""What the object store costs a node that starts, and what several processes on one directory do to each other."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from sprawl.objects.directory import Directory
from sprawl.objects.errors import PreconditionFailed
from sprawl.objects.store import Store
from sprawl.runtime.real import RealRuntime, run

ROUNDS = 150


def test_a_node_without_s3_does_not_load_its_client() -> None:
    program = (
        "import sys, asyncio\n"
        "from sprawl.objects.opening import open_store\n"
        "from sprawl.runtime.real import RealRuntime\n"
        "asyncio.run(open_store('file:///tmp/nowhere', RealRuntime()))\n"
        "print(sorted(name for name in ('aiobotocore', 'botocore', 'aiohttp', 'boto3') if name in sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def _race(root: str, name: str, rounds: int, begin: float) -> list[int]:
    """The rounds that this process won; all processes begin at the same time."""

    async def play() -> list[int]:
        runtime = RealRuntime()
        store = Store(Directory(root, runtime), runtime)
        won = []
        await asyncio.sleep(max(0.0, begin - time.time()))
        for number in range(rounds):
            try:
                await store.put(f"round/{number}", f"{name} {number}".encode(), if_absent=True)
                won.append(number)
            except PreconditionFailed:
                continue
        runtime.close()
        return won

    return run(play())


def test_conditions_hold_among_processes_on_one_directory(tmp_path: Path) -> None:
    root = str(tmp_path / "bucket")
    with ProcessPoolExecutor(3) as pool:
        results = list(pool.map(_race, [root] * 3, "abc", [ROUNDS] * 3, [time.time() + 1.0] * 3))
    assert sorted(number for won in results for number in won) == list(range(ROUNDS))

    async def judge() -> None:
        runtime = RealRuntime()
        store = Store(Directory(root, runtime), runtime)
        for name, won in zip("abc", results, strict=True):
            for number in won:
                assert await store.get(f"round/{number}") == f"{name} {number}".encode()
        assert list(await store.uploads()) == []
        runtime.close()

    asyncio.run(judge())
