"""A real Apache Kafka on this machine, to compare with: found by Maven, kept in `.cache/kafka/<version>/`, run as a
child process.

In: a port (or none: a free one is taken) and settings in Kafka's own names. Out: a running combined-mode broker
(KRaft, one
node) and its process id. It knows nothing of Sprawl, and names no host to download from: Maven's own configuration
decides.

"Newest complete set" means the newest version of `kafka-tools`, which Kafka publishes last; the broker of the same
version is taken
with it. Run as a program, it starts a broker and waits: `python -m tools.bench.kafka_dist --port 9092`.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "kafka"
NEWEST = "[4.0.0,4.9999]"
LOG4J = "[2.24.0,2.9999]"
#: What Kafka's own start script gives the JVM when nobody says otherwise.
JVM_OPTIONS = (
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
)
_START_SECONDS = 90.0
_STOP_SECONDS = 30.0
_API_VERSIONS_V0 = struct.pack(">ihhih", 10, 18, 0, 1, -1)

_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId><artifactId>kafka-dist</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>{dependencies}</dependencies>
</project>
"""
_DEPENDENCY = (
    "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version></dependency>"
)
_LOG4J2 = """Configuration:
  Appenders:
    Console: {name: STDOUT, PatternLayout: {pattern: "[%d] %p %m (%c)%n"}}
  Loggers:
    Root: {level: WARN, AppenderRef: {ref: STDOUT}}
"""


class KafkaUnavailableError(Exception):
    """Apache Kafka can't be had here; the message says why (no Java, no Maven, nothing resolved)."""


@dataclass(frozen=True, slots=True)
class KafkaDist:
    """The jars of one Kafka version and how to call a class in them."""

    version: str
    home: Path
    java: str

    @property
    def classpath(self) -> str:
        return f"{self.home / 'libs'}/*"

    def command(self, main_class: str, *arguments: str, heap: str = "256M", options: tuple[str, ...] = ()) -> list[str]:
        log4j = f"-Dlog4j2.configurationFile={self.home / 'log4j2.yaml'}"
        memory = (f"-Xmx{heap}", f"-Xms{heap}")
        return [self.java, *memory, *options, log4j, "-cp", self.classpath, main_class, *arguments]


def obtain(version: str | None = None) -> KafkaDist:
    """The newest complete Kafka 4.x (or `version`); from the cache if it is there, through Maven otherwise."""
    java = shutil.which("java")
    if java is None:
        raise KafkaUnavailableError("java is not installed")
    if version is None:
        version = _newest_cached() or _newest_published()
    home = CACHE / version
    if not (home / "complete").exists():
        _download(home, version)
    return KafkaDist(version, home, java)


def free_port() -> int:
    """A port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers_kafka(port: int) -> bool:
    """True once a broker on this port of the loopback answers an ApiVersions request."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0) as connection:
        connection.settimeout(2.0)
        connection.sendall(_API_VERSIONS_V0)
        return len(connection.recv(4)) > 0
    return False


class KafkaServer:
    """One Kafka broker as a child process over a directory that outlives restarts. A context manager: leaving stops
    it."""

    def __init__(
        self,
        dist: KafkaDist,
        directory: Path,
        *,
        port: int | None = None,
        settings: dict[str, str] | None = None,
        heap: str = "1G",
    ) -> None:
        self.dist = dist
        self.directory = directory
        self.port = port or free_port()
        self.controller_port = free_port()
        self.heap = heap
        self.settings = {**self._defaults(), **(settings or {})}
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

    def format(self) -> None:
        """Prepare the data directory, once."""
        if (self.data_directory / "meta.properties").exists():
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        self._write_properties()
        command = self.dist.command(
            "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", str(self._properties_path)
        )
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise KafkaUnavailableError(f"formatting the data directory failed: {done.stdout}{done.stderr}")

    def start(self, *, wait: bool = True) -> None:
        self.format()
        self._write_properties()
        command = self.dist.command("kafka.Kafka", str(self._properties_path), heap=self.heap, options=JVM_OPTIONS)
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        if wait:
            self.wait_ready()

    def wait_ready(self, seconds: float = _START_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not answers_kafka(self.port):
            if self.process is None or self.process.poll() is not None:
                raise KafkaUnavailableError(f"Kafka ended while starting; see its output:\n{self._tail()}")
            if time.monotonic() > deadline:
                raise KafkaUnavailableError(
                    f"Kafka did not answer on {self.bootstrap} within {seconds:.0f} s:\n{self._tail()}"
                )
            time.sleep(0.02)

    def stop(self) -> None:
        """Ask it to end; insist after half a minute."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self.process = None

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
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

    @property
    def _properties_path(self) -> Path:
        return self.directory / "server.properties"

    def _defaults(self) -> dict[str, str]:
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self.controller_port}",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.controller_port}",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(self.data_directory),
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "8",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "4",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "auto.create.topics.enable": "false",
        }

    def _write_properties(self) -> None:
        self._properties_path.write_text("".join(f"{name}={value}\n" for name, value in self.settings.items()))

    def _tail(self) -> str:
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-30:]) if self.log_path.exists() else ""


def _newest_cached() -> str | None:
    complete = [mark.parent.name for mark in CACHE.glob("*/complete")]
    return max(complete, key=_version_key, default=None)


def _version_key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def _newest_published() -> str:
    with tempfile.TemporaryDirectory() as scratch:
        jars = _copy_dependencies(Path(scratch), {"org.apache.kafka:kafka-tools": NEWEST}, transitive=False)
        for jar in jars:
            if found := re.fullmatch(r"kafka-tools-(.+)\.jar", jar.name):
                return found.group(1)
    raise KafkaUnavailableError("Maven found no Kafka 4.x")


def _download(home: Path, version: str) -> None:
    wanted = {
        "org.apache.kafka:kafka_2.13": version,
        "org.apache.kafka:kafka-tools": version,
        "org.apache.kafka:kafka-clients": version,
        "org.apache.logging.log4j:log4j-slf4j-impl": LOG4J,
    }
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home) as scratch:
        _copy_dependencies(Path(scratch), wanted, transitive=True)
        shutil.rmtree(home / "libs", ignore_errors=True)
        (Path(scratch) / "libs").rename(home / "libs")
    (home / "log4j2.yaml").write_text(_LOG4J2)
    (home / "complete").touch()


def _copy_dependencies(scratch: Path, wanted: dict[str, str], *, transitive: bool) -> list[Path]:
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaUnavailableError("mvn (Maven) is not installed, and no Kafka is in the cache")
    parts = ((*name.split(":"), version) for name, version in wanted.items())
    lines = [_DEPENDENCY.format(group=group, artifact=artifact, version=version) for group, artifact, version in parts]
    (scratch / "pom.xml").write_text(_POM.format(dependencies="".join(lines)))
    command = [
        maven,
        "-q",
        "-B",
        "dependency:copy-dependencies",
        f"-DoutputDirectory={scratch / 'libs'}",
        "-DincludeScope=runtime",
    ]
    if not transitive:
        command.append("-DexcludeTransitive=true")
    done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise KafkaUnavailableError(f"Maven could not resolve Apache Kafka: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return sorted((scratch / "libs").glob("*.jar"))


def main() -> None:
    parser = argparse.ArgumentParser(description="Start a real Apache Kafka until interrupted.")
    parser.add_argument("--port", type=int, default=9092)
    parser.add_argument("--version", help="a 4.x version (default: the newest complete one)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a broker setting")
    parser.add_argument("--fetch", action="store_true", help="only fetch it into .cache/kafka, if Maven is here")
    arguments = parser.parse_args()
    if arguments.fetch:
        try:
            print(f"Apache Kafka {obtain(arguments.version).version} is in .cache/kafka")
        except KafkaUnavailableError as problem:
            print(f"No Apache Kafka here, so what needs it is skipped: {problem}")
        return
    settings = dict(item.split("=", 1) for item in arguments.set)
    with tempfile.TemporaryDirectory(prefix="kafka-") as directory:
        server = KafkaServer(obtain(arguments.version), Path(directory), port=arguments.port, settings=settings)
        with server:
            print(
                f"Apache Kafka {server.dist.version} answers on {server.bootstrap} (pid {server.pid}); Ctrl-C ends it"
            )
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            with contextlib.suppress(KeyboardInterrupt):
                signal.pause()


if __name__ == "__main__":
    main()
