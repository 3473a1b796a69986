"""What is wrong with a setting, said so that a person can put it right."""

from __future__ import annotations


class ConfigError(ValueError):
    """Key, value, what is allowed and where the value came from, each also as an attribute."""

    def __init__(self, key: str, value: str | None, problem: str, source: str = "") -> None:
        self.key = key
        self.value = value
        self.problem = problem
        self.source = source
        subject = key if value is None else f"{key}={value}"
        origin = f" (from {source})" if source else ""
        super().__init__(f"{subject}{origin}: {problem}")
