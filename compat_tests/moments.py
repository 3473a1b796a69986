"""Timestamps for records: of an hour ago, so that no retention finds them old while a test runs."""

from __future__ import annotations

import time

#: Milliseconds, to the second; the same all through a run.
LATELY = (int(time.time()) - 3600) * 1000
