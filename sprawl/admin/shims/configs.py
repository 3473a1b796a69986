"""`kafka-configs`: --describe, and --alter with --add-config and --delete-config, of topics, brokers and groups."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import typer

from sprawl.admin.configs import alter_settings, describe_settings
from sprawl.admin.session import USAGE, Session, fail, run
from sprawl.admin.shims.flags import one_action, pairs, parser, target_of

_KINDS: Final = {"topics": "topic", "brokers": "broker", "groups": "group"}
_COMMAS: Final = re.compile(r",(?![^\[]*\])")
"""Those that are not in the brackets that hold a list: `a=[1,2],b=3`."""


def main(words: Sequence[str]) -> None:
    flags = parser("kafka-configs")
    flags.add_argument("--describe", action="store_true")
    flags.add_argument("--alter", action="store_true")
    flags.add_argument("--all", action="store_true")
    flags.add_argument("--entity-type", choices=sorted(_KINDS))
    flags.add_argument("--entity-name")
    for plural, kind in _KINDS.items():
        flags.add_argument(f"--{kind}", dest=plural)
    flags.add_argument("--add-config", default="")
    flags.add_argument("--delete-config", default="")
    given = flags.parse_args(words)
    action = one_action(given, "describe", "alter")
    named = [(plural, getattr(given, plural)) for plural in _KINDS if getattr(given, plural)]
    plural, name = named[0] if len(named) == 1 else (given.entity_type, given.entity_name)
    if not plural or not name:
        fail("one --entity-type with its --entity-name", USAGE)
    kind = _KINDS[plural]
    changes: dict[str, str | None] = dict.fromkeys(each for each in given.delete_config.split(",") if each)
    added = pairs([each for each in _COMMAS.split(given.add_config) if each])
    changes |= {key: value.removeprefix("[").removesuffix("]") for key, value in added.items()}
    if action == "alter" and not changes:
        fail("--alter needs --add-config or --delete-config", USAGE)

    async def work(session: Session) -> list[str]:
        if action == "alter":
            await alter_settings(session, kind, name, changes, only_check=False)
            return [f"Completed updating config for {kind} {name}."]
        rows = await describe_settings(session, kind, name, everything=given.all)
        if not given.all:
            rows = [row for row in rows if row["set_by"] in (kind, "all brokers")]
        head = f"{'All' if given.all else 'Dynamic'} configs for {kind} {name} are:"
        return [head, *(f"  {row['name']}={row['value'] if row['value'] is not None else 'null'}" for row in rows)]

    for line in run(target_of(given), work):
        typer.echo(line)
