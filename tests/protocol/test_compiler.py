"""The compiled functions hold to the interpreted tree: the same bytes, the same objects, the same refusals."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sprawl_protocol.errors import ProtocolError
from sprawl_protocol.layout import interpret, interpret_build
from sprawl_protocol.message import Struct
from tests.protocol.arbitrary import TOP_LEVEL, every_version, message, versions_of

EVERY_VERSION = list(every_version())


def outcome(parse: Any) -> Any:
    try:
        return parse()
    except ProtocolError:
        return ProtocolError


def holds(cls: type[Struct], version: int, rng: Random) -> bytes:
    made = message(rng, cls, version)
    encoded = made.encode(version)
    assert encoded == interpret_build(made, version), f"{cls.__name__} v{version}: {made!r}"
    parsed = cls.parse(encoded, version)
    assert parsed == interpret(cls, encoded, version) == made, f"{cls.__name__} v{version}: {made!r}"
    return encoded


@pytest.mark.parametrize("cls", TOP_LEVEL, ids=lambda cls: cls.__name__)
def test_compiled_and_interpreted_agree(cls: type[Struct]) -> None:
    rng = Random(cls.__name__)
    for version in versions_of(cls):
        assert cls().encode(version) == interpret_build(cls(), version)
        for _ in range(3):
            holds(cls, version, rng)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(EVERY_VERSION), st.integers(0, 2**64))
def test_compiled_and_interpreted_agree_on_any_message(which: tuple[type[Struct], int], seed: int) -> None:
    holds(*which, Random(seed))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(EVERY_VERSION), st.integers(0, 2**64), st.data())
def test_compiled_and_interpreted_refuse_alike(which: tuple[type[Struct], int], seed: int, data: st.DataObject) -> None:
    cls, version = which
    spoiled = bytearray(message(Random(seed), cls, version).encode(version))
    for _ in range(data.draw(st.integers(1, 3))):
        if spoiled:
            spoiled[data.draw(st.integers(0, len(spoiled) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(spoiled[: data.draw(st.integers(0, len(spoiled)))] if data.draw(st.booleans()) else spoiled)
    ours = outcome(lambda: cls.parse(cut, version))
    truth = outcome(lambda: interpret(cls, cut, version))
    assert ours == truth or repr(ours) == repr(truth), f"{cls.__name__} v{version}: {cut.hex()}"
