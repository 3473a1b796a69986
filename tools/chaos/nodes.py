"""The nodes under test: the `sprawl` command as a user runs it, each on a disk of its own that can be filled and lost.

Every act is synchronous and short, but for `stop`, which waits. Raises `NodeError` when a node does what it must not.
"""

from __future__ import annotations

import http.client
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

from tools.chaos.network import Network
from tools.chaos.replicas import Flip

SPRAWL = Path(sys.executable).with_name("sprawl")
ADMIN = Path(sys.executable).with_name("sprawl-admin")
_STOP_SECONDS = 60.0
_PIECE = 1 << 20


class NodeError(Exception):
    """A node ended by itself, or not when it was told to."""


class Node:
    def __init__(self, directory: Path, number: int, network: Network, *, disk_mb: int) -> None:
        """`disk_mb`: the size of the node's disk; 0 if it cannot have one of its own."""
        self.number = number
        self.directory = directory
        self.disk = directory / "disk"
        self.log_path = directory / "node.log"
        self.full = False
        self.frozen = False
        self._network = network
        self._process: subprocess.Popen[bytes] | None = None
        self._settings: dict[str, str] = {}
        self.disk.mkdir(parents=True)
        if disk_mb:
            mount = ["mount", "-t", "tmpfs", "-o", f"size={disk_mb}m", f"chaos-{number}", str(self.disk)]
            subprocess.run(mount, check=True)

    @property
    def data(self) -> Path:
        return self.disk / "data"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def ended_by_itself(self) -> int | None:
        """The exit code of a process nobody ended."""
        return None if self._process is None else self._process.poll()

    @property
    def bootstrap(self) -> str:
        host, port = self._network.kafka(self.number)
        return f"{host}:{port}"

    def configure(self, settings: dict[str, str]) -> None:
        self._settings = settings

    def format(self, cluster_id: str = "", secret: Path | None = None) -> str:
        """The cluster's id."""
        arguments = ["format", "-d", str(self.data), "--node-id", str(self.number)]
        if cluster_id:
            arguments += ["--cluster-id", cluster_id, "--secret-file", str(secret)]
        done = subprocess.run([str(SPRAWL), *arguments], capture_output=True, text=True, check=False, timeout=60)
        if done.returncode:
            raise NodeError(f"sprawl format for node {self.number}: {done.stdout}{done.stderr}")
        return str(re.findall(r"cluster (\S+),", done.stdout)[0])

    def start(self) -> None:
        (host, port), (http_host, http_port) = self._network.listener(self.number), self._network.http(self.number)
        command = [*self._network.command(self.number), str(SPRAWL), "start", "-d", str(self.data), "--insecure"]
        command += ["--listeners", f"PLAINTEXT://{host}:{port}", "--http", f"{http_host}:{http_port}"]
        command += ["--set", f"advertised.listeners=PLAINTEXT://{self.bootstrap}"]
        for name, value in self._settings.items():
            command += ["--set", f"{name}={value}"]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        self._network.started(self.number, self._process.pid)
        self.frozen = False

    def ready(self) -> bool:
        host, port = self._network.http(self.number)
        connection = http.client.HTTPConnection(host, port, timeout=2)
        with closing(connection), suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        return False

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self.frozen = False

    def stop(self) -> None:
        """Asks it to end, and waits for that; the exit code has to be 0. One that was only about to start may simply
        end."""
        if self._process is None:
            return
        self.thaw()
        served = self.ready()
        self._process.terminate()
        try:
            code = self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise NodeError(f"node {self.number} did not stop within {_STOP_SECONDS:.0f} s") from None
        self._process = None
        if code and (served or code != -signal.SIGTERM):
            raise NodeError(f"node {self.number} was told to stop and ended with {code}")

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)
        self.frozen = True

    def thaw(self) -> None:
        if self.frozen:
            self._signal(signal.SIGCONT)
        self.frozen = False

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            os.kill(self._process.pid, number)

    # -- its disk ---------------------------------------------------------------------------------------------

    def fill(self) -> int:
        """Takes all the room that is left; how many bytes that was."""
        self.full = True
        taken = 0
        with (self.disk / "filler").open("ab", buffering=0) as filler, suppress(OSError):
            while True:
                taken += filler.write(bytes(_PIECE))
        with (self.disk / "filler").open("ab", buffering=0) as filler, suppress(OSError):
            while True:
                taken += filler.write(bytes(512))
        return taken

    def make_room(self) -> None:
        (self.disk / "filler").unlink(missing_ok=True)
        self.full = False

    def wipe(self) -> None:
        """The disk is lost, with all that was on it."""
        assert not self.running
        shutil.rmtree(self.data)

    def flip(self, rng: random.Random, topic: str) -> Flip | None:
        """Flips a bit of a closed segment of this topic; None if there is no such segment yet."""
        assert not self.running
        closed: list[Path] = []
        for partition in sorted(self.data.rglob(f"{topic}-*")):
            if partition.is_dir():
                closed += sorted(partition.glob("*.log"))[:-1]
        closed = [each for each in closed if each.stat().st_size > 1024]
        if not closed:
            return None
        segment = rng.choice(closed)
        at, bit = rng.randrange(segment.stat().st_size), rng.randrange(8)
        with segment.open("r+b") as file:
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 1 << bit]))
        return Flip(segment, at, bit, byte ^ 1 << bit)
