"""Nothing but the runtime touches the outside world: time, chance, sockets, files, processes.

`sprawl.admin` and `sprawl.testing` are programs for people and tests, not nodes; they may.
"""

from __future__ import annotations

import ast
import random
from pathlib import Path

ROOT = Path(__file__).parent.parent
EXEMPT = ("sprawl/runtime/", "sprawl/admin/", "sprawl/testing/")

MODULES = {
    "time": "Runtime.clock",
    **{f"random.{name}": "Runtime.rng" for name in vars(random) if name not in ("Random", "__doc__", "__name__")},
    "secrets": "Runtime.token_bytes",
    "socket": "Runtime.network",
    "socketserver": "Runtime.network",
    "select": "Runtime.network",
    "selectors": "Runtime.network",
    "os": "Runtime.files, or for pure path functions posixpath and pathlib.PurePosixPath",
    "shutil": "Runtime.files",
    "tempfile": "Runtime.files",
    "glob": "Runtime.files.list",
    "io.open": "Runtime.files",
    "fcntl": "Runtime.files.lock",
    "mmap": "Runtime.files",
    "sqlite3": "Runtime.open_state",
    "sqlitedict": "Runtime.open_state",
    "rocksdict": "Runtime.open_kv",
    "asyncio_dgram": "Runtime.network.datagram",
    "threading": "Runtime.in_thread",
    "concurrent.futures": "Runtime.in_thread",
    "subprocess": "a process that is not a node",
    "multiprocessing": "a process that is not a node",
    "uvloop": "sprawl.runtime.real.run",
    "os.path": "posixpath",
    "pathlib.Path": "Runtime.files, or for pure path functions posixpath and pathlib.PurePosixPath",
    "datetime.datetime.now": "Runtime.clock",
    "datetime.datetime.utcnow": "Runtime.clock",
    "datetime.date.today": "Runtime.clock",
    "uuid.uuid1": "uuid.UUID(bytes=runtime.token_bytes(16), version=4)",
    "uuid.uuid4": "uuid.UUID(bytes=runtime.token_bytes(16), version=4)",
    "asyncio.to_thread": "Runtime.in_thread",
    "asyncio.open_connection": "Runtime.network.connect",
    "asyncio.start_server": "Runtime.network.listen",
    "asyncio.create_subprocess_exec": "a process that is not a node",
    "asyncio.create_subprocess_shell": "a process that is not a node",
    "asyncio.run": "sprawl.runtime.real.run",
}
BY_USE = {"asyncio", "datetime", "io", "pathlib", "random", "uuid"}
"""Modules that may be imported, since only parts of them are for the runtime alone."""
BUILTINS = {"open": "Runtime.files", "input": "nothing: a node has no keyboard"}
METHODS = {"run_in_executor": "Runtime.in_thread", "create_server": "Runtime.network.listen"}
METHODS |= {"create_connection": "Runtime.network.connect", "create_datagram_endpoint": "Runtime.network.datagram"}

SHELL = {"sprawl/cli.py", "sprawl/commands.py", "sprawl/options.py", "sprawl/process.py", "sprawl/vitals.py"}
SHELL |= {"sprawl/data_directory.py", "sprawl/supervisor.py", "sprawl/child.py"}
"""The process around a node: command line, environment, signals, its own memory and CPU time; several of them."""


def violations(source: str, path: str) -> list[str]:
    tree = ast.parse(source, path)
    names: dict[str, str] = {}
    found: list[tuple[int, str, str]] = []

    def check(line: int, dotted: str) -> None:
        parts = dotted.split(".")
        for length in range(len(parts), 0, -1):
            name = ".".join(parts[:length])
            if name in MODULES:
                found.append((line, name, MODULES[name]))
                return

    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
                check(node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                check(node.lineno, f"{node.module}.{alias.name}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            dotted = _dotted(node, names)
            if dotted is not None and dotted.split(".")[0] in BY_USE:
                check(node.lineno, dotted)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            name = node.func.id
            if name in BUILTINS and name not in names:
                found.append((node.lineno, f"{name}()", BUILTINS[name]))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
            found.append((node.lineno, f".{node.func.attr}()", METHODS[node.func.attr]))
        if isinstance(node, ast.Call) and _dotted(node.func, names) == "random.Random":
            found.append((node.lineno, "random.Random()", "Runtime.rng"))
    return [f"{path}:{line}: {name}: ask {instead}" for line, name, instead in sorted(set(found))]


def _dotted(node: ast.expr, names: dict[str, str]) -> str | None:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in names:
        return None
    return ".".join([names[node.id], *reversed(parts)])


def test_only_the_runtime_touches_the_outside_world() -> None:
    broken: list[str] = []
    for file in sorted((ROOT / "sprawl").rglob("*.py")):
        path = file.relative_to(ROOT).as_posix()
        if path not in SHELL and not path.startswith(EXEMPT):
            broken += violations(file.read_text(), path)
    assert not broken, (
        "A node asks its Runtime, so that simulation can answer instead. For pure path functions use posixpath or "
        "pathlib.PurePosixPath. Found:\n" + "\n".join(broken)
    )


def test_the_check_finds_what_it_should() -> None:
    source = """
import time, os.path
import random as chance
from random import randrange
from uuid import UUID, uuid4
from datetime import datetime as when
import uuid, asyncio
from pathlib import PurePosixPath, Path
def f(loop, path):
    open(path)
    uuid.uuid4()
    when.now()
    when.fromtimestamp(0)
    asyncio.sleep(1)
    asyncio.to_thread(f)
    loop.run_in_executor(None, f)
    path.open()
    chance.Random()
    rng: chance.Random = chance.choice([])
"""
    lines = [line.split(": ask")[0] for line in violations(source, "x.py")]
    assert lines == [
        "x.py:2: os.path",
        "x.py:2: time",
        "x.py:4: random.randrange",
        "x.py:5: uuid.uuid4",
        "x.py:8: pathlib.Path",
        "x.py:10: open()",
        "x.py:11: uuid.uuid4",
        "x.py:12: datetime.datetime.now",
        "x.py:15: asyncio.to_thread",
        "x.py:16: .run_in_executor()",
        "x.py:18: random.Random()",
        "x.py:19: random.choice",
    ]
