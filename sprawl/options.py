"""The options of `sprawl start` as settings, together with the file and the environment.

In: what was typed. Out: everything that was set, from everywhere. Reads the settings file and the environment: nobody
below the commands does.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sprawl.config.loading import Loaded

USAGE: Final = 2
"""The exit code for wrong usage and wrong settings."""

KEYS: Final = {
    "data_dir": "log.dirs",
    "listeners": "listeners",
    "http": "sprawl.http.listener",
    "node_id": "node.id",
    "seeds": "sprawl.seeds",
    "insecure": "sprawl.insecure",
}
"""The setting that each option of `sprawl start` stands for."""


def load_start(file: str | None, pairs: Iterable[str], options: Mapping[str, str | None]) -> Loaded:
    """Settings from file, environment, options and `--set` pairs. Raises `ConfigError`."""
    from sprawl.config.loading import Setting, load, parse_pair

    given = [
        Setting(KEYS[name], value, "--" + name.replace("_", "-"))
        for name, value in options.items()
        if value is not None
    ]
    return load(
        file=None if file is None else (file, read(file)),
        environment=os.environ,
        arguments=[*given, *(parse_pair(pair) for pair in pairs)],
    )


def read(file: str) -> str:
    """A settings file. Raises `ConfigError`."""
    from sprawl.config.errors import ConfigError

    try:
        with open(file, encoding="utf-8") as stream:  # noqa: PTH123 - importing pathlib takes its time
            return stream.read()
    except (OSError, UnicodeDecodeError) as problem:
        raise ConfigError(file, None, f"cannot be read: {problem}.") from None
