"""What Kafka's commands have in common: where the cluster is, and words in other places than ours."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sprawl.admin.client_settings import BadSettings, client_settings, read_settings
from sprawl.admin.session import USAGE, Target, fail

_TIMEOUT: Final = 30.0


def parser(name: str, *config_flags: str) -> argparse.ArgumentParser:
    """Takes Kafka's flags only whole: an abbreviation may mean another one there."""
    found = argparse.ArgumentParser(prog=name, allow_abbrev=False)
    found.add_argument("--bootstrap-server", required=True)
    found.add_argument("--command-config", *config_flags, type=Path, dest="command_config")
    return found


def one_action(given: argparse.Namespace, *names: str) -> str:
    chosen = [name for name in names if getattr(given, name)]
    if len(chosen) != 1:
        fail(f"exactly one of {', '.join(f'--{name}' for name in names)}", USAGE)
    return chosen[0]


def target_of(given: argparse.Namespace) -> Target:
    try:
        settings = client_settings({} if given.command_config is None else read_settings(given.command_config))
    except BadSettings as problem:
        fail(str(problem), USAGE)
    addresses: Sequence[str] = given.bootstrap_server.split(",")
    return Target(tuple(each.strip() for each in addresses), _TIMEOUT, settings.tls, settings.credentials)


def pairs(texts: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not separator or not key:
            fail(f"{text}: key=value is due", USAGE)
        found[key] = value
    return found
