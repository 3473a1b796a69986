"""The generated pages agree with the code they are generated from."""

from __future__ import annotations

from tools.docs import stale


def test_generated_pages_are_current() -> None:
    assert stale() == [], "run `make docs`"
