"""Write the pages of docs/ that follow from the code: `python -m tools.docs`. `--check` only says what is stale."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Final

from sprawl.config.broker import BROKER_DEFINITIONS
from sprawl.config.definitions import Definition, text_of
from sprawl.config.groups import CLIENT_METRICS_DEFINITIONS, GROUP_DEFINITIONS
from sprawl.config.inert import inert_definitions
from sprawl.config.topics import TOPIC_DEFINITIONS

DOCS: Final = Path(__file__).parent.parent / "docs"
_FOREVER: Final = str(2**63 - 1)

_INTRODUCTION: Final = """\
# Settings

<!-- Written by `make docs` from the definitions in sprawl/config/. Do not edit. -->

Keys have Kafka's names and meanings; those that begin with `sprawl.` are Sprawl's own. A setting is taken, in this
order, from

1. the command line: `--data-dir`, `--listeners`, `--http`, `--node-id`, `--seeds`, `--insecure`, and
   `--set key=value`;
2. the environment: `SPRAWL_*` and `KAFKA_*`, where `KAFKA_LOG_RETENTION_MS` is `log.retention.ms`, two underscores
   stand for one, three for a dash. `SPRAWL_DURABILITY` is `sprawl.durability`, `SPRAWL_NODE_ID` is `node.id`;
3. the file of `--config`: `sprawl.toml` (keys at the top or in a table `[broker]`) or a Java properties file such as
   Kafka's `server.properties`;
4. the defaults below.

A key that is unknown, or that has no effect, is named in one warning at start, with the reason. `sprawl config check
FILE` says the same without starting anything, and `sprawl config show` where each value comes from.

A node listens on this machine only, unless `--insecure` is given: TLS and authentication are not built yet.

Defaults that differ from Kafka's: `auto.create.topics.enable` is false, `listeners` is on loopback, `log.dir` is
`data`, and records are synchronised to stable storage before they are acknowledged (`sprawl.durability`).
"""


def configuration() -> str:
    """docs/configuration.md."""
    sections = [
        _INTRODUCTION,
        "## Topic settings\n\nSet them on a topic; the broker key in the last column is the default for all.\n",
        _table(TOPIC_DEFINITIONS, "Broker key"),
        "## Broker settings that act\n",
        _table({name: one for name, one in BROKER_DEFINITIONS.items() if one.acts}),
        "## Group settings\n\nAccepted and checked; none acts yet.\n",
        _table({name: one for name, one in GROUP_DEFINITIONS.items() if not one.internal}),
        "## Client metrics subscriptions\n\nAccepted and checked; none acts yet.\n",
        _table(CLIENT_METRICS_DEFINITIONS),
        "## Kafka's broker settings without effect\n",
        *_reasons([*BROKER_DEFINITIONS.values(), *inert_definitions().values()]),
    ]
    return "\n".join(sections)


def pages() -> dict[Path, str]:
    return {DOCS / "configuration.md": configuration()}


def stale() -> list[Path]:
    """Pages that are not what the code says."""
    return [path for path, text in pages().items() if not path.exists() or path.read_text("utf-8") != text]


def _table(definitions: Mapping[str, Definition], synonyms: str = "") -> str:
    head = ["Key", "Type", "Default", "Allowed", "Meaning", *([synonyms] if synonyms else [])]
    rows = [head, ["---"] * len(head)]
    rows += [[*_row(one), *([_synonyms(one)] if synonyms else [])] for one in definitions.values()]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def _row(one: Definition) -> list[str]:
    meaning = f"{one.doc} *No effect yet: {one.inert}.*" if one.inert else one.doc
    allowed = one.allowed.words if one.allowed else ("true or false" if one.type.name == "BOOLEAN" else "")
    return [f"`{one.name}`", one.type.name.lower(), _default(one), allowed, meaning.replace("|", "\\|")]


def _default(one: Definition) -> str:
    text = text_of(one.default)
    if text is None:
        return "not set"
    if text == _FOREVER:
        return "no limit"
    return f"`{text}`" if text else "empty"


def _synonyms(one: Definition) -> str:
    return ", ".join(f"`{synonym.name}`" for synonym in one.synonyms)


def _reasons(definitions: Iterable[Definition]) -> Iterator[str]:
    inert = sorted((one for one in definitions if one.inert and not one.internal), key=lambda one: one.inert)
    for reason, group in groupby(inert, key=lambda one: one.inert):
        names = ", ".join(f"`{name}`" for name in sorted(one.name for one in group))
        yield f"**{reason[0].upper()}{reason[1:]}**: {names}.\n"


def main() -> int:
    if "--check" in sys.argv:
        for path in stale():
            print(f"{path.relative_to(DOCS.parent)} is stale; run `make docs`")
        return 1 if stale() else 0
    for path, text in pages().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
        print(f"wrote {path.relative_to(DOCS.parent)}, {len(text.splitlines())} lines")
    return 0


if __name__ == "__main__":
    sys.exit(main())
