# ruff: noqa: TID251, T201, S108, PTH123, S603, S606, S607
"""Starts a node in a container, from the variables that Apache Kafka's image takes.

In: the environment. Out: the same with what Kafka's image has by default and Sprawl has not, an identity for the data
directory, and then `sprawl start` in this process's place. What is set is never changed, but for the order of the
listeners: the one that brokers use between each other comes first, which is what Sprawl goes by.
"""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping

DATA = "/var/lib/sprawl"
CLUSTER_ID = "5L6g3nShT-eMCtK--X86sw"
"""The default of Kafka's image: whoever sets none, there or here, gets the same cluster each time."""


def settings(given: Mapping[str, str]) -> dict[str, str]:
    """The variables to start with."""
    env = dict(given)
    env.setdefault("KAFKA_LOG_DIRS", DATA)
    env.setdefault("KAFKA_NODE_ID", env.get("KAFKA_BROKER_ID", "1"))
    env.setdefault("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "true")
    env.setdefault("SPRAWL_HTTP_LISTENER", "0.0.0.0:9644")
    env.setdefault("SPRAWL_INSECURE", "true")
    if "KAFKA_LISTENERS" not in env:
        env["KAFKA_LISTENERS"] = "PLAINTEXT://0.0.0.0:9092"
        env.setdefault("KAFKA_ADVERTISED_LISTENERS", "PLAINTEXT://localhost:9092")
    env["KAFKA_LISTENERS"] = ",".join(ordered(env))
    seeds = other_nodes(env)
    if seeds:
        env.setdefault("SPRAWL_SEEDS", ",".join(seeds))
    return env


def ordered(env: Mapping[str, str]) -> list[str]:
    """The listeners, the one between brokers first; those of Kafka's controllers are left where they are."""
    listeners = [each.strip() for each in env["KAFKA_LISTENERS"].split(",") if each.strip()]
    between = env.get("KAFKA_INTER_BROKER_LISTENER_NAME", "")
    return sorted(listeners, key=lambda each: each.partition("://")[0] != between) if between else listeners


def other_nodes(env: Mapping[str, str]) -> list[str]:
    """Kafka names its controllers; here every node is one, and is found where its brokers' listener is."""
    named = env.get("KAFKA_CONTROLLER_QUORUM_VOTERS") or env.get("KAFKA_CONTROLLER_QUORUM_BOOTSTRAP_SERVERS", "")
    hosts = [each.partition("@")[2] or each for each in named.split(",") if each]
    if len(hosts) < 2:
        return []
    controllers = {name.strip() for name in env.get("KAFKA_CONTROLLER_LISTENER_NAMES", "").split(",")}
    ports = [each.rpartition(":")[2] for each in ordered(env) if each.partition("://")[0] not in controllers]
    return [f"{each.rpartition(':')[0]}:{ports[0] if ports else 9092}" for each in hosts]


def secret(env: Mapping[str, str]) -> str:
    """The cluster's, as its file holds it: what was given, or made from the cluster's id, which hides nothing."""
    given = env.get("SPRAWL_CLUSTER_SECRET", "")
    if given:
        return given
    made = hashlib.sha256(b"sprawl container " + env.get("CLUSTER_ID", CLUSTER_ID).encode()).digest()
    return base64.b64encode(made).decode()


def main() -> None:
    env = settings(os.environ)
    several = "SPRAWL_SEEDS" in env
    if several or "CLUSTER_ID" in env:
        command = ["sprawl", "format", "--cluster-id", env.get("CLUSTER_ID", CLUSTER_ID)]
        if "SPRAWL_CLUSTER_SECRET_FILE" not in env and several:
            if "SPRAWL_CLUSTER_SECRET" not in env:
                print("the nodes' secret is made from CLUSTER_ID and so hides nothing", file=sys.stderr)
            path = "/tmp/cluster.secret"
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(secret(env) + "\n")
            command += ["--secret-file", path]
        env.pop("SPRAWL_CLUSTER_SECRET", None)
        done = subprocess.run(command, env=env, stdout=subprocess.DEVNULL)
        if done.returncode:
            sys.exit(done.returncode)
    os.execvpe("sprawl", ["sprawl", "start", *sys.argv[1:]], env)


if __name__ == "__main__":
    main()
