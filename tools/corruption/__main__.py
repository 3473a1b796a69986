"""The corruption matrix: `python -m tools.corruption`, and `--json` for machines. Exit code 1 if wrong bytes came."""

from __future__ import annotations

import json
import logging
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from tools.corruption.cells import Kind, Outcome, strike
from tools.corruption.damage import Damage


def main(
    seed: Annotated[int, typer.Option(help="Of the first cell; each world follows from it.")] = 1,
    only: Annotated[str, typer.Option(help="Kinds of files that begin so.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One object for each cell.")] = False,
) -> None:
    """Damage each kind of file in each way, in a simulated cluster of three nodes each."""
    logging.disable(logging.CRITICAL)
    cells = [(kind, damage) for kind in Kind if kind.value.startswith(only) for damage in Damage]
    console = Console(stderr=True)
    outcomes = [strike(*cell, seed) for cell in track(cells, "cells", console=console, disable=not console.is_terminal)]
    struck = [each for each in outcomes if each.applies]
    if as_json:
        print(json.dumps([_told(each) for each in struck], indent=1))
    else:
        _show(struck)
    raise typer.Exit(int(any(each.wrong for each in struck)))


def _told(each: Outcome) -> dict[str, object]:
    return {
        "kind": each.kind.value,
        "damage": each.damage.value,
        "wrong": each.wrong,
        "repaired": each.repaired,
        "message": each.message,
    }


def _show(outcomes: list[Outcome]) -> None:
    table = Table("file", "damage", "served wrong", "repaired", "refused with")
    for each in outcomes:
        yes = "yes" if each.repaired else "no"
        table.add_row(each.kind.value, each.damage.value, each.wrong or "no", yes, each.message)
    Console().print(table)
    repaired = sum(each.repaired for each in outcomes)
    wrong = sum(bool(each.wrong) for each in outcomes)
    print(f"{len(outcomes)} cells, wrong bytes in {wrong}, repaired without an operator {repaired}")


if __name__ == "__main__":
    typer.run(main)
