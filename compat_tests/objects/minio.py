"""A real MinIO on loopback: built once with Go, kept in `.cache/`, started in a directory of its own.

In: a directory. Out: its endpoint. Without Go, and without a binary from before, `program` says why there is none.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "minio"
PACKAGE = "github.com/minio/minio@latest"
USER, SECRET = "minio-root", "minio-root-secret"


class NoMinioError(Exception):
    """Why there is none."""


def program() -> Path:
    """Where MinIO is; built now if need be, which takes about three minutes. `MINIO` names another one."""
    given = os.environ.get("MINIO")
    if given:
        if not Path(given).exists():
            raise NoMinioError(f"there is no {given}")
        return Path(given)
    binary = CACHE / "minio"
    if binary.exists():
        return binary
    if shutil.which("go") is None:
        raise NoMinioError("there is no Go here to build MinIO with")
    CACHE.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "GOBIN": str(CACHE)}
    try:
        done = subprocess.run(
            ["go", "install", PACKAGE], env=environment, capture_output=True, text=True, timeout=900, check=False
        )
    except subprocess.TimeoutExpired:
        raise NoMinioError("building MinIO took more than 15 minutes") from None
    if done.returncode != 0 or not binary.exists():
        lines = done.stderr.strip().splitlines() or ["without a word"]
        raise NoMinioError(f"building MinIO failed: {lines[-1]}")
    return binary


@dataclass
class Minio:
    """Can be stopped and started again on the same port, with what it held."""

    directory: Path
    binary: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, timeout: float = 60.0) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "MINIO_ROOT_USER": USER, "MINIO_ROOT_PASSWORD": SECRET, "MINIO_BROWSER": "off"}
        with (self.directory.parent / f"{self.directory.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(self.binary), "server", "--quiet", "--address", f"127.0.0.1:{self.port}", str(self.directory)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + timeout
        while not self._ready():
            if self.process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise NoMinioError(f"MinIO did not start: see {log.name}")
            time.sleep(0.1)

    def stop(self) -> None:
        """At once, as if its machine had failed."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.endpoint}/minio/health/ready", timeout=1) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False


@contextmanager
def minio(directory: Path) -> Iterator[Minio]:
    running = Minio(directory, program(), _free_port())
    running.start()
    try:
        yield running
    finally:
        running.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
