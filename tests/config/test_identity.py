"""Who a node is, and that it stays so."""

from __future__ import annotations

import re
from typing import Any

import pytest

from sprawl.config.errors import ConfigError
from sprawl.config.identity import Identity, establish, identity_in, new_id, new_secret, secret_in
from sprawl.runtime.real import RealRuntime

RUNTIME = RealRuntime()


def test_a_new_directory_gets_an_identity_that_stays() -> None:
    state: dict[str, Any] = {}
    assert identity_in(state) is None  # type: ignore[arg-type]
    made = establish(state, RUNTIME, node_id=3)  # type: ignore[arg-type]
    assert made.node_id == 3
    assert establish(state, RUNTIME) == made  # type: ignore[arg-type]
    assert establish(state, RUNTIME, node_id=3, cluster_id=made.cluster_id) == made  # type: ignore[arg-type]
    assert identity_in(state) == made  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [{"node_id": 2}, {"cluster_id": "B" * 22}])
def test_what_contradicts_it_is_refused(given: dict[str, Any]) -> None:
    state: dict[str, Any] = {}
    establish(state, RUNTIME, node_id=1, cluster_id="A" * 22)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="belongs to"):
        establish(state, RUNTIME, **given)  # type: ignore[arg-type]


def test_ids_are_kafkas_uuids_and_never_look_like_options() -> None:
    ids = {new_id(RUNTIME) for _ in range(500)}
    assert len(ids) == 500
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{21}", one) for one in ids)


def test_the_state_is_plain_json() -> None:
    state: dict[str, Any] = {}
    made = establish(state, RUNTIME)  # type: ignore[arg-type]
    assert Identity(**state["identity"]) == made
    assert set(state["identity"]) == {"cluster_id", "node_id", "directory_id"}


def test_a_secret_is_read_as_it_was_written_and_is_its_own_each_time() -> None:
    texts = {new_secret(RUNTIME) for _ in range(10)}
    assert len(texts) == 10
    assert {len(secret_in(text, "f")) for text in texts} == {32}
    assert secret_in(b" AAAAAAAAAAAAAAAA\nAAAAAAAA \r\n", "f") == bytes(18)


@pytest.mark.parametrize("text", [b"", b"\n", b"c2hvcnQ=", b"not base64 at all, though long enough", b"\xff" * 40])
def test_what_is_no_secret_is_refused_and_not_shown(text: bytes) -> None:
    with pytest.raises(ConfigError) as refused:
        secret_in(text, "/the/file")
    assert "/the/file" in str(refused.value)
    assert not text.strip() or text.decode("latin-1").strip() not in str(refused.value)
