"""Sprawl as a user runs it: the installed `sprawl` command as a child process over a data directory.

The twin of `kafka_dist.KafkaServer`, with the same methods, so that a test or a benchmark can hold either.
"""

from __future__ import annotations

import contextlib
import http.client
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tools.bench.kafka_dist import free_port

_START_SECONDS = 30.0
_STOP_SECONDS = 20.0


class SprawlUnavailableError(Exception):
    """The broker did not come up; the message carries the end of its log."""


class SprawlServer:
    """One Sprawl node. A context manager: leaving stops it."""

    def __init__(
        self,
        directory: Path,
        *,
        port: int | None = None,
        settings: dict[str, str] | None = None,
    ) -> None:
        self.directory = directory
        self.port = port or free_port()
        self.http_port = free_port()
        self.settings = dict(settings or {})
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def log_path(self) -> Path:
        return self.directory / "server.out"

    @property
    def data_directory(self) -> Path:
        return self.directory / "data"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self, *, wait: bool = True) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        if wait:
            self.wait_ready()

    def command(self) -> list[str]:
        program = Path(sys.executable).with_name("sprawl")
        command = [str(program), "start", "--data-dir", str(self.data_directory)]
        command += ["--listeners", f"PLAINTEXT://{self.bootstrap}", "--http", f"127.0.0.1:{self.http_port}"]
        for name, value in self.settings.items():
            command += ["--set", f"{name}={value}"]
        return command

    def wait_ready(self, seconds: float = _START_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not self.ready():
            if self.process is None or self.process.poll() is not None:
                raise SprawlUnavailableError(f"sprawl ended while starting; its log ends with:\n{self._tail()}")
            if time.monotonic() > deadline:
                raise SprawlUnavailableError(
                    f"/readyz did not say 200 within {seconds:.0f} s; the log ends with:\n{self._tail()}"
                )
            time.sleep(0.02)

    def ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=2)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        return False

    def stop(self) -> None:
        """SIGTERM, and SIGKILL if it is still there after 20 s."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self.process = None

    def kill(self) -> None:
        """SIGKILL, as a power cut would (but for what the kernel already holds)."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _tail(self) -> str:
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-30:]) if self.log_path.exists() else ""
