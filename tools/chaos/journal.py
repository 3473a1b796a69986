"""What clients write down: a file per client, a line of JSON per entry (`tools.history.entries`)."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.history.entries import Entry


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


def read_journals(directory: Path) -> dict[str, list[Entry]]:
    """By client. One that was killed before it wrote anything is left out."""
    journals = {path.stem: list(read_journal(path)) for path in sorted(directory.glob("*.jsonl"))}
    return {name: entries for name, entries in journals.items() if entries}
