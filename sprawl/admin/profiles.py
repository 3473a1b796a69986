"""Clusters by name: a TOML file under the user's configuration directory, which nobody else may read.

    current = "prod"

    [profiles.prod]
    "bootstrap.servers" = "broker-1:9092"
    "security.protocol" = "SASL_SSL"

A profile is a set of settings of Kafka's Java clients. The file is written whole, and readable by its owner only from
its first byte; one that others can read and that holds secrets is refused.
"""

from __future__ import annotations

import json
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sprawl.admin.client_settings import BadSettings, has_secrets

FILE: Final = "profiles.toml"
_OWNER_ONLY: Final = 0o600


@dataclass(frozen=True, slots=True)
class Profiles:
    current: str | None = None
    by_name: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def named(self, name: str) -> Mapping[str, str]:
        """Raises `BadSettings`."""
        if name not in self.by_name:
            known = ", ".join(sorted(self.by_name)) or "none"
            raise BadSettings(f"there is no profile {name}; there are: {known}")
        return self.by_name[name]


def load(path: Path) -> Profiles:
    """Raises `BadSettings`."""
    try:
        if not path.exists():
            return Profiles()
        given = tomllib.loads(path.read_text(encoding="utf-8"))
        others = stat.S_IMODE(path.stat().st_mode) & 0o077
    except (OSError, ValueError) as problem:
        raise BadSettings(f"{path}: {problem}") from None
    tables = given.get("profiles", {})
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise BadSettings(f"{path}: profiles are tables, such as [profiles.prod]")
    found = {name: {key: str(value) for key, value in table.items()} for name, table in tables.items()}
    if others and any(has_secrets(settings) for settings in found.values()):
        raise BadSettings(f"{path} holds secrets and others may read it: chmod 600 {path}")
    current = given.get("current")
    return Profiles(current if isinstance(current, str) else None, found)


def save(path: Path, profiles: Profiles) -> None:
    """Raises `BadSettings`."""
    lines = [f"current = {_quoted(profiles.current)}"] if profiles.current else []
    for name, settings in sorted(profiles.by_name.items()):
        lines += ["", f"[profiles.{_quoted(name)}]"]
        lines += [f"{_quoted(key)} = {_quoted(value)}" for key, value in sorted(settings.items())]
    beside = path.with_suffix(".new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside.unlink(missing_ok=True)
        beside.touch(mode=_OWNER_ONLY, exist_ok=False)
        beside.write_text("\n".join(lines) + "\n", encoding="utf-8")
        beside.replace(path)
    except OSError as problem:
        raise BadSettings(f"{path}: {problem.strerror or problem}") from None


def _quoted(text: str) -> str:
    """A basic string of TOML: JSON's, but for one character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
