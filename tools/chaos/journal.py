"""What clients write down: a file per client, a JSON list per line, in the order things happened to that client.

The first line is `["client", name, {"kind": ..., ...}]`; times are seconds of the machine's monotonic clock, `p` is a
partition, `o` an offset (below 0: not told) and `v` a value, which no two records share.

    ["send", t, p, v]                 before a record is handed to the client library
    ["ack", t, p, v, o]               it is acknowledged
    ["unknown", t, p, v, why]         it failed, but may have been written
    ["fail", t, p, v, why]            it failed, and surely was not written
    ["poll", t, [[p, o, v], ...]]     records that one poll returned
    ["assign", t, [p, ...]]           a consumer was given partitions (incremental)
    ["revoke", t, [p, ...], lost]     they were taken from it
    ["commit", t, [[p, o], ...]]      a commit was answered without an error
    ["fatal", t, why]                 the client library gave up; the client goes on with a new instance
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Entry = list[Any]


class Journal:
    def __init__(self, directory: Path, name: str, about: dict[str, Any]) -> None:
        self._file = (directory / f"{name}.jsonl").open("a", buffering=1 << 16)
        self._lock = threading.Lock()
        self._write(["client", name, about])

    def note(self, kind: str, *what: Any) -> None:
        self._write([kind, round(time.monotonic(), 6), *what])

    def _write(self, entry: Entry) -> None:
        line = json.dumps(entry, separators=(",", ":")) + "\n"
        with self._lock:
            self._file.write(line)

    def flush(self) -> None:
        with self._lock:
            self._file.flush()

    def close(self) -> None:
        with self._lock:
            self._file.close()


def read_journal(path: Path) -> Iterator[Entry]:
    """A last line that was cut off is left out."""
    with path.open() as file:
        for line in file:
            if line.endswith("\n"):
                yield json.loads(line)
