"""A data directory before its node runs: the node's identity and the cluster's secret.

In: settings, and the cluster's id and secret where they are known. Out: a directory that its node can start from, or a
`ConfigError` saying what is missing or does not fit. What is there already is never changed. A node that has seeds
belongs to a cluster that exists: nothing is made up for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sprawl.config.broker import BrokerConfig
from sprawl.config.errors import ConfigError
from sprawl.config.identity import (
    LOCK_FILE,
    SECRET_FILE,
    STATE_FILE,
    Identity,
    establish,
    identity_in,
    new_secret,
    secret_in,
)
from sprawl.config.members import directory_of
from sprawl.runtime import Runtime
from sprawl.runtime.real import RealRuntime


def prepare(config: BrokerConfig, cluster_id: str = "", secret: bytes | None = None) -> Identity:
    """Give the data directory its identity and the cluster's secret. `secret` is the text of a secret file.

    Raises `ConfigError`, `OSError`.
    """
    runtime = RealRuntime()
    with _held(config, runtime):
        missing = _missing_secret(config, runtime, secret)
        state = runtime.open_state(f"{config.data_dir}/{STATE_FILE}")
        try:
            found = establish(state, runtime, node_id=config.id if config.id_given else None, cluster_id=cluster_id)
        finally:
            state.close()
        if missing:
            runtime.files.write_atomic(config.secret_file, missing)
        return found


def prepare_all(
    base: BrokerConfig, members: Sequence[BrokerConfig], cluster_id: str = "", secret: bytes | None = None
) -> list[Identity]:
    """Give the directories of all nodes of this machine identities in one cluster, and its secret.

    `base` has the settings from which those of `members` were made. Raises `ConfigError`, `OSError`.
    """
    runtime = RealRuntime()
    if runtime.files.exists(f"{base.data_dir}/{STATE_FILE}"):
        raise ConfigError(
            "log.dirs",
            base.data_dir,
            f"has the data of one node; several keep theirs in {directory_of(base.data_dir, members[0].id)} and so on. "
            "Use another directory, or start without --nodes.",
        )
    known = [found for found in (_identity_at(one, runtime) for one in members) if found is not None]
    if not known and not cluster_id and base.seeds:
        raise _stranger(base)
    if known and not cluster_id:
        cluster_id = known[0].cluster_id
    if secret is None:
        held = [one.secret_file for one in members if runtime.files.exists(one.secret_file)]
        if held:
            secret = _read(runtime, held[0])
        elif base.seeds:
            raise _stranger(base)
        elif base.sprawl_cluster_secret_file:
            raise _no_secret(base)
        else:
            secret = new_secret(runtime)
    identities: list[Identity] = []
    for one in members:
        cluster_id = cluster_id or (identities[0].cluster_id if identities else "")
        identities.append(prepare(one, cluster_id, secret))
    return identities


def admit(config: BrokerConfig) -> None:
    """Whether a node may start from its directory as it is; a new cluster of one gets its secret.

    Raises `ConfigError`, `OSError`.
    """
    runtime = RealRuntime()
    if config.seeds and _identity_at(config, runtime) is None:
        raise _stranger(config)
    if runtime.files.exists(config.secret_file):
        secret_in(_read(runtime, config.secret_file), config.secret_file)
        return
    with _held(config, runtime):
        if missing := _missing_secret(config, runtime, None):
            runtime.files.write_atomic(config.secret_file, missing)


def read_secret(path: str) -> bytes:
    """The text of a secret file. Raises `ConfigError`."""
    text = _read(RealRuntime(), path)
    secret_in(text, path)
    return text


@contextmanager
def _held(config: BrokerConfig, runtime: Runtime) -> Iterator[None]:
    """With the directory there and nobody else using it; what is made in it is its owner's alone."""
    before = os.umask(0o077)
    try:
        runtime.files.make_dirs(config.data_dir)
        try:
            release = runtime.files.lock(f"{config.data_dir}/{LOCK_FILE}")
        except BlockingIOError:
            raise ConfigError("log.dirs", config.data_dir, "a running node is using this directory.") from None
        try:
            yield
        finally:
            release()
    finally:
        os.umask(before)


def _missing_secret(config: BrokerConfig, runtime: Runtime, secret: bytes | None) -> bytes | None:
    """What is to be written as the secret file; None if that is there and right. Raises `ConfigError`."""
    path = config.secret_file
    if runtime.files.exists(path):
        held = secret_in(_read(runtime, path), path)
        if secret is not None and secret_in(secret, path) != held:
            raise ConfigError("cluster secret", path, "is another one than the one that was given; it stays.")
        return None
    if config.sprawl_cluster_secret_file:
        raise _no_secret(config)
    if secret is None and config.seeds:
        raise _stranger(config)
    return secret or new_secret(runtime)


def _identity_at(config: BrokerConfig, runtime: Runtime) -> Identity | None:
    path = f"{config.data_dir}/{STATE_FILE}"
    if not runtime.files.exists(path):
        return None
    with _held(config, runtime):
        state = runtime.open_state(path)
        try:
            return identity_in(state)
        finally:
            state.close()


def _read(runtime: Runtime, path: str) -> bytes:
    try:
        return runtime.files.read_bytes(path)
    except OSError as problem:
        raise ConfigError("cluster secret", path, f"cannot be read: {problem.strerror}.") from None


def _no_secret(config: BrokerConfig) -> ConfigError:
    source = config.sources.get("sprawl.cluster.secret.file", "")
    return ConfigError("sprawl.cluster.secret.file", config.secret_file, "there is no such file.", source)


def _stranger(config: BrokerConfig) -> ConfigError:
    return ConfigError(
        "sprawl.seeds",
        ",".join(config.sprawl_seeds),
        "a node joins a cluster with that cluster's id and secret, and this directory has none. "
        f"Copy {SECRET_FILE} from the data directory of a node that is in it, and run: "
        f"sprawl format --data-dir {config.data_dir} --node-id N --cluster-id ID --secret-file {SECRET_FILE}",
        config.sources.get("sprawl.seeds", ""),
    )
