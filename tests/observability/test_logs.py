"""The log: one line per event, and never more of a kind than a person can use."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Iterator

import pytest

from sprawl.observability.logs import RateLimit, configure


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure("info", stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)
    logging.raiseExceptions = True


def record(created: float, *, line: int = 1, level: int = logging.WARNING) -> logging.LogRecord:
    made = logging.LogRecord("sprawl.x", level, "x.py", line, "oops", None, None)
    made.created = created
    return made


def test_a_line_has_time_level_place_and_message(stream: io.StringIO) -> None:
    logging.getLogger("sprawl.node").info("ready on %d", 9092)
    logging.getLogger("sprawl.node").debug("not shown")
    (line,) = stream.getvalue().splitlines()
    assert line.endswith(" INFO    sprawl.node: ready on 9092")


def test_what_a_client_sent_cannot_break_the_line(stream: io.StringIO) -> None:
    logging.getLogger("x").warning("client %s", "a\nFAKE\x1b[31m")
    assert stream.getvalue().splitlines()[0].endswith(r"client a\x0aFAKE\x1b[31m")


def test_ten_thousand_errors_of_one_kind_write_few_lines_and_their_count(stream: io.StringIO) -> None:
    log = logging.getLogger("sprawl.wire")
    limit = next(one for one in logging.getLogger().handlers[0].filters if isinstance(one, RateLimit))

    async def storm() -> None:
        for number in range(10_000):
            log.warning("client %d sent what is no Kafka request", number)
        for place, window in list(limit._windows.items()):
            assert window.held
            limit._close(
                place, window, "sprawl.wire", logging.WARNING
            )  # what the loop's timer does when the window ends

    asyncio.run(storm())
    lines = stream.getvalue().splitlines()
    assert len(lines) == 11
    assert lines[-1].endswith("sprawl.wire: 9990 more like the last ones in 10 s")


def test_another_place_in_the_code_has_its_own_allowance() -> None:
    limit = RateLimit(burst=1, window=10)
    assert [limit.filter(record(0, line=line)) for line in (1, 1, 2, 2)] == [True, False, True, False]


def test_a_new_window_begins_with_the_count_of_the_last(stream: io.StringIO) -> None:
    limit = RateLimit(burst=1, window=10)
    assert [limit.filter(record(at)) for at in (0, 1, 2, 11)] == [True, False, False, True]
    assert "2 more like the last ones" in stream.getvalue()


def test_a_late_timer_does_not_end_the_window_after_its_own(stream: io.StringIO) -> None:
    limit = RateLimit(burst=1, window=10)
    limit.filter(record(0))
    (place, first), *_ = limit._windows.items()
    limit.filter(record(11))
    limit._close(place, first, "x", logging.WARNING)
    assert limit.filter(record(12)) is False


def test_information_is_never_held_back() -> None:
    limit = RateLimit(burst=1)
    assert all(limit.filter(record(0, level=logging.INFO)) for _ in range(100))
