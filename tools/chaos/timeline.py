"""Everything that happened in a run, in order: a line of JSON per event, on the clock of the clients' journals."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

Listener = Callable[[str], None]


class Timeline:
    def __init__(self, path: Path, *, listener: Listener | None = None) -> None:
        """`listener` is told each event as a line of text."""
        self.began = time.monotonic()
        self.recent: deque[str] = deque(maxlen=8)
        self._file = path.open("a", buffering=1)
        self._lock = threading.Lock()
        self._listener = listener

    def note(self, what: str, *, node: int | None = None, **details: object) -> None:
        now = time.monotonic()
        event = {"t": round(now, 6), "at": datetime.now(UTC).strftime("%H:%M:%S.%f")[:-3], "what": what}
        if node is not None:
            event["node"] = node
        event.update(details)
        said = " ".join(f"{key}={value}" for key, value in details.items())
        place = f" node {node}" if node is not None else ""
        text = f"{now - self.began:8.1f} s  {what}{place}{'  ' if said else ''}{said}"
        with self._lock:
            self._file.write(json.dumps(event, default=str) + "\n")
            self.recent.append(text)
            if self._listener is not None:
                self._listener(text)

    def close(self) -> None:
        self._file.close()
