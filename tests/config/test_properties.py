"""Java's properties format, as `java.util.Properties.load` reads it."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprawl.config.properties import PropertiesError, parse_properties


def parsed(text: str) -> dict[str, str]:
    return {entry.key: entry.value for entry in parse_properties(text)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=b", {"a": "b"}),
        ("a = b", {"a": "b"}),
        ("a:b", {"a": "b"}),
        ("a b", {"a": "b"}),
        ("  a\t:  b c ", {"a": "b c "}),
        ("a==b", {"a": "=b"}),
        ("a", {"a": ""}),
        ("a=", {"a": ""}),
        ("# comment\n! another\n\na=1", {"a": "1"}),
        ("a=1\r\nb=2\rc=3", {"a": "1", "b": "2", "c": "3"}),
        ("a=1,\\\n   2,\\\n   3", {"a": "1,2,3"}),
        ("a=1\\\n# not a comment", {"a": "1# not a comment"}),
        ("a=ends with a backslash\\\\\nb=2", {"a": "ends with a backslash\\", "b": "2"}),
        ("a=one\\\n", {"a": "one"}),
        (r"a\=b=c", {"a=b": "c"}),
        (r"a\ b=c", {"a b": "c"}),
        (r"a=\t\n\u00e9\x", {"a": "\t\né" + "x"}),
        ("a=1\na=2", {"a": "2"}),
        ("listeners=PLAINTEXT://:9092", {"listeners": "PLAINTEXT://:9092"}),
    ],
)
def test_reads_what_java_reads(text: str, expected: dict[str, str]) -> None:
    assert parsed(text) == expected


def test_entries_know_the_line_they_start_on() -> None:
    entries = list(parse_properties("# one\na=1,\\\n  2\n\nb=3\n"))
    assert [(entry.key, entry.line) for entry in entries] == [("a", 2), ("b", 5)]


def test_a_broken_unicode_escape_names_its_line() -> None:
    with pytest.raises(PropertiesError, match="line 2"):
        list(parse_properties("a=1\nb=\\u12x4"))


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(PropertiesError):
        list(parse_properties(text))


@given(st.dictionaries(st.text(min_size=1), st.text(), max_size=5))
def test_what_is_escaped_comes_back(entries: dict[str, str]) -> None:
    def escaped(text: str) -> str:
        return "".join(f"\\u{ord(c):04x}" if ord(c) < 0x10000 else c for c in text)

    text = "\n".join(f"{escaped(key)}={escaped(value)}" for key, value in entries.items())
    assert parsed(text) == entries
