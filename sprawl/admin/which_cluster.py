"""Which cluster a command is about: `--bootstrap-server`, `--command-config`, `--profile`, the profile in use, in this
order. The last three may also say how to prove who one is.

`--profile` and `--command-config` belong to `sprawl-admin` itself, and may stand anywhere among its words. So may
`--bootstrap-server`, which belongs to the commands.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

from typer.core import TyperGroup

from sprawl.admin.client_settings import BadSettings, ClientSettings, client_settings, read_settings
from sprawl.admin.session import USAGE, fail

_ANYWHERE: Final = ("--profile", "--command-config")
_BOOTSTRAP: Final = ("--bootstrap-server", "--bootstrap", "-b")


@dataclass(frozen=True, slots=True)
class Chosen:
    """What was said in front of the command."""

    profile: str | None = None
    command_config: Path | None = None


_chosen: ContextVar[Chosen] = ContextVar("chosen", default=Chosen())  # noqa: B039 - nothing in it can change


class Root(TyperGroup):
    """Takes its own options from wherever they stand, and gives a command those of its own that stand before it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        own: list[str] = []
        others: list[str] = []
        early: list[str] = []
        words = iter(args)
        for word in words:
            name, given, _ = word.partition("=")
            if word == "--":
                others += [*early, word, *words]
                early = []
            elif name in _ANYWHERE or (name in _BOOTSTRAP and not others):
                (own if name in _ANYWHERE else early).extend([word] if given else [word, *islice(words, 1)])
            else:
                others.append(word)
        return super().parse_args(ctx, [*own, *others, *early])


def remember(profile: str | None, command_config: Path | None) -> None:
    _chosen.set(Chosen(profile, command_config))


def settings_for(bootstrap: str) -> ClientSettings:
    """`bootstrap`, unless it is empty, counts for more than the settings' own. Exits where they cannot be used."""
    try:
        found = client_settings(_given(_chosen.get(), use_current=not bootstrap))
    except BadSettings as problem:
        fail(str(problem), USAGE)
    return replace(found, bootstrap=bootstrap or found.bootstrap)


def _given(said: Chosen, *, use_current: bool) -> Mapping[str, str]:
    from sprawl.admin import profile_commands
    from sprawl.admin.profiles import load

    if said.command_config is not None:
        return read_settings(said.command_config)
    if said.profile is not None:
        return load(profile_commands.profiles_file()).named(said.profile)
    if use_current:
        profiles = load(profile_commands.profiles_file())
        if profiles.current is not None:
            return profiles.named(profiles.current)
    return {}
