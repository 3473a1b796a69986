"""Starts the client programs, hears what they did so far, and tells them to halt and to end."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import IO, Final

from tools.bench.kafka_dist import KafkaUnavailableError, obtain

_JAVA_SOURCE: Final = Path(__file__).with_name("ChaosClients.java")
_JAVA_WRITERS: Final = 11
"""The number of the first writer in Java; those of librdkafka count from 1."""


class ClientError(Exception):
    """A client program could not be built, or ended by itself."""


class Program:
    """A client program that runs."""

    def __init__(self, name: str, command: list[str], log: Path) -> None:
        self.name = name
        self.counts: Counter[str] = Counter()
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        self._log = log
        self._listener = threading.Thread(target=self._listen, args=(self._process.stdout,), daemon=True)
        self._listener.start()

    @property
    def halted(self) -> bool:
        """All its writers have their last answers."""
        return 0 < self.counts["writers"] == self.counts["halted"]

    def check(self) -> None:
        code = self._process.poll()
        if code is not None:
            raise ClientError(f"the {self.name} clients ended with {code}; see {self._log}")

    def halt(self) -> None:
        self._tell("halt\n")

    def end(self, seconds: float = 60.0) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ClientError(f"the {self.name} clients did not end within {seconds:.0f} s") from None
        self._listener.join(10)
        if code:
            raise ClientError(f"the {self.name} clients ended with {code}; see {self._log}")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def _tell(self, words: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(words)
        self._process.stdin.flush()

    def _listen(self, said: IO[str]) -> None:
        for line in said:
            if line.startswith("{"):
                self.counts = Counter(json.loads(line))


def librdkafka(bootstrap: str, topic: str, partitions: int, journals: Path, *, rate: float, padding: int) -> Program:
    command = [sys.executable, "-m", "tools.chaos.librdkafka", "--bootstrap", bootstrap, "--topic", topic]
    command += ["--partitions", str(partitions), "--directory", str(journals)]
    command += ["--rate", str(rate), "--padding", str(padding)]
    return Program("librdkafka", command, journals.parent / "librdkafka.log")


def java_missing() -> str:
    """Why there are no Java clients; empty if there are."""
    if shutil.which("javac") is None:
        return "there is no javac here"
    try:
        obtain()
    except (KafkaUnavailableError, OSError, subprocess.SubprocessError) as missing:
        return str(missing)
    return ""


def java(bootstrap: str, topic: str, partitions: int, journals: Path, *, rate: float, padding: int) -> Program:
    dist, classes = obtain(), journals.parent / "java-classes"
    compiler = shutil.which("javac") or "javac"
    build = [compiler, "-nowarn", "-cp", dist.classpath, "-d", str(classes), str(_JAVA_SOURCE)]
    built = subprocess.run(build, capture_output=True, text=True, check=False)
    if built.returncode:
        raise ClientError(f"the Java clients do not compile: {built.stderr}")
    arguments = [bootstrap, topic, str(partitions), str(journals), str(rate), str(padding), str(_JAVA_WRITERS)]
    command = dist.command("ChaosClients", *arguments, heap="160M", options=("-XX:+UseSerialGC", "-Xss512k"))
    command[command.index("-cp") + 1] = f"{classes}:{dist.classpath}"
    return Program("Java", command, journals.parent / "java.log")
