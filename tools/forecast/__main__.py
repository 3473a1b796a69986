"""How good the forecasts are, and what the balancer makes of them: `python -m tools.forecast --help`.

Without arguments it judges made-up families of load (`synthetic`); with `--traces DIR` it judges the traces there:
*.csv or *.csv.gz with `series,timestamp,count`. The same input and seed print the same figures.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tools.forecast import report as reports
from tools.forecast import speed, synthetic, traces
from tools.forecast.evaluation import FULLY, QUICKLY, evaluate
from tools.forecast.replay import FULL
from tools.forecast.traces import Family

_SERIES, _DAYS = 8, 21
_QUICK_SERIES, _QUICK_DAYS = 3, 10
_WIDTH = 120
"""Of tables, at least, when nobody knows how wide the screen is."""
_EXAMPLE = """
Example: python -m tools.forecast --traces /data/traces --json > forecast.json
"""

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(epilog=_EXAMPLE, help=__doc__.split("\n\n")[0] + "\n\n" + __doc__.split("\n\n")[1])
def main(
    directory: Annotated[
        Path | None,
        typer.Option(
            "--traces", exists=True, file_okay=False, help="A directory of *.csv or *.csv.gz: series,timestamp,count."
        ),
    ] = None,
    with_synthetic: Annotated[bool, typer.Option("--synthetic", help="The made-up families too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output, nothing else.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Less of everything: within a minute.")] = False,
    seed: Annotated[int, typer.Option(help="For whatever is drawn by lot.")] = 1,
    full: Annotated[
        float, typer.Option(min=0.1, max=1.0, help="What the modelled cluster uses at its busiest, of its capacity.")
    ] = FULL,
    how_fast: Annotated[
        bool, typer.Option("--speed", help="Only how long one forecast of 2,000 partitions takes.")
    ] = False,
    charts: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Draw the figures as SVG into this directory.")
    ] = None,
) -> None:
    if how_fast:
        measured = speed.measure()
        typer.echo(
            f"{measured.partitions} partitions: {measured.cpu:.0f} ms of CPU, {measured.wall:.0f} ms by the clock"
        )
        return
    families: list[Family] = []
    notes: tuple[str, ...] = ()
    if directory is not None:
        found = traces.read(directory)
        families, notes = list(found.families), found.notes
        if not families and not with_synthetic:
            for note in notes:
                typer.echo(f"note: {note}", err=True)
            typer.echo(f"Nothing in {directory} can be judged.", err=True)
            raise typer.Exit(1)
    if directory is None or with_synthetic:
        families += synthetic.make(seed, _QUICK_SERIES if quick else _SERIES, _QUICK_DAYS if quick else _DAYS)
    columns = (TextColumn("{task.description:<60.60}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("reading", total=1.0)

        def tell(what: str, part: float) -> None:
            progress.update(task, description=what, completed=part)

        report = evaluate(families, QUICKLY if quick else FULLY, seed, full, notes=notes, tell=tell)
    if as_json:
        typer.echo(json.dumps(reports.as_json(report), indent=2))
    else:
        reports.show(report, Console(width=max(_WIDTH, Console().width)))
    if charts is not None:
        for path in reports.draw(report, charts):
            typer.echo(f"drawn: {path}", err=True)


if __name__ == "__main__":
    app(prog_name="python -m tools.forecast")
