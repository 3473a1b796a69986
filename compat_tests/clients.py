"""The clients that are tried: their names in the matrix, their versions here, and why one is absent.

A client is a folder of this package; `version_of` is asked once per run and raises nothing.
"""

from __future__ import annotations

import functools
import importlib.metadata
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import confluent_kafka

from tools.bench.kafka_dist import KafkaUnavailableError, obtain

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Client:
    folder: str
    title: str
    version_of: Callable[[], str]


def _distribution(name: str) -> Callable[[], str]:
    return functools.partial(importlib.metadata.version, name)


def _confluent() -> str:
    return f"{importlib.metadata.version('confluent-kafka')} (librdkafka {confluent_kafka.libversion()[0]})"


def _kcat() -> str:
    said = subprocess.run(["kcat", "-V"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"Version (\S+).*librdkafka (\S+)", said)
    return f"{found.group(1)} (librdkafka {found.group(2)})" if found else "unknown"


def _java() -> str:
    return obtain().version


def _go_module(module: str) -> Callable[[], str]:
    def version() -> str:
        found = re.search(rf"{re.escape(module)} v(\S+)", (HERE / "go" / "go.mod").read_text())
        return found.group(1) if found else "unknown"

    return version


def _kafkajs() -> str:
    return str(json.loads((HERE / "node" / "package.json").read_text())["dependencies"]["kafkajs"])


CLIENTS = (
    Client("kafka_python", "kafka-python", _distribution("kafka-python")),
    Client("confluent", "confluent-kafka", _confluent),
    Client("aiokafka", "aiokafka", _distribution("aiokafka")),
    Client("kcat", "kcat", _kcat),
    Client("java", "Java client", _java),
    Client("java_tools", "Java console tools", _java),
    Client("franz", "franz-go", _go_module("github.com/twmb/franz-go")),
    Client("sarama", "sarama", _go_module("github.com/IBM/sarama")),
    Client("node", "kafkajs", _kafkajs),
    Client("raw", "raw protocol", lambda: f"schemas of kafka-python {importlib.metadata.version('kafka-python')}"),
)


@functools.cache
def why_absent(folder: str) -> str | None:
    """Why the client of this folder can't run on this machine; None if it can."""
    if folder in ("java", "java_tools"):
        return _java_absent()
    programs = {"kcat": "kcat", "franz": "go", "sarama": "go", "node": "node"}
    program = programs.get(folder)
    if program is not None and shutil.which(program) is None:
        return f"{program} is not installed"
    return None


def _java_absent() -> str | None:
    if shutil.which("javac") is None:
        return "no Java compiler (javac) is installed"
    try:
        obtain()
    except KafkaUnavailableError as missing:
        return str(missing)
    return None
