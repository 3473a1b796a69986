"""Each script in scripts/ tells the story of a failure and shows what a group does instead."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.groups.script import Driver

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.txt"))


def played(text: str) -> str:
    """The script again, with what each command leads to now."""
    driver = Driver()
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("  "):
            continue
        lines.append(line)
        if line and not line.startswith("#"):
            lines += [f"  {result}" for result in driver.run(line)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script(path: Path) -> None:
    expected = path.read_text()
    assert expected.startswith("# "), "a script opens with the story it tells"
    actual = played(expected)
    if os.environ.get("SPRAWL_REWRITE_SCRIPTS"):
        path.write_text(actual)
        return
    assert actual == expected
