"""A report in tables for people, as JSON for programs, as charts for docs/."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from sprawl.intelligence.foresight.grid import HORIZON_MINUTES
from tools.chart import line_chart
from tools.forecast.contest import NOBODY, PREDICTIVE, RESTLESS, Contest
from tools.forecast.evaluation import Kind, Report
from tools.forecast.scores import HORIZONS

_HEADLINE: Final = ((Kind.REAL,), (Kind.PREDICTABLE, Kind.UNTAUGHT), (Kind.NOISE,))
_MOST_LINES: Final = 6


def show(report: Report, console: Console) -> None:
    _forecasts(report, console)
    for contest in report.contests:
        _contest(contest, console)
    for note in report.notes:
        console.print(f"note: {note}", markup=False, highlight=False)


def as_json(report: Report) -> dict[str, Any]:
    """Its head is of the real traces, or of what can be foreseen if there are none."""
    kinds = next((each for each in _HEADLINE if report.ratio(HORIZONS[0], each) is not None), _HEADLINE[0])
    first = report.contests[0] if report.contests else None
    return {
        "mase_ratio_to_best_baseline": {name: _number(report.ratio(name, kinds)) for name in HORIZONS},
        "coverage_of_p90": {
            name: _number(_mean([each.scores[name].coverage for each in report.judged if name in each.scores]))
            for name in HORIZONS
        },
        "replay": _replay(first),
        "replays": {contest.name: _replay(contest) for contest in report.contests},
        "families": [
            {
                "family": each.family.name,
                "kind": each.kind.value,
                "series": len(each.family.series),
                "step_seconds": each.family.grid.step_seconds,
                "days": round(each.family.values.shape[1] / each.family.grid.day, 2),
                "horizons": {
                    name: {
                        "mase": _number(score.mase),
                        "best_baseline": score.best_baseline,
                        "mase_by_baseline": {kind: _number(mase) for kind, mase in score.mase_by_baseline.items()},
                        "mase_ratio_to_best_baseline": _number(score.ratio),
                        "ratio_interval_90": [_number(bound) for bound in score.interval],
                        "wape": _number(score.wape),
                        "wape_of_best_baseline": _number(score.wape_of_best_baseline),
                        "coverage_of_p90": _number(score.coverage),
                        "followed": {source: _number(part) for source, part in score.sources.items()},
                    }
                    for name, score in each.scores.items()
                },
            }
            for each in report.judged
        ],
        "notes": list(report.notes),
    }


def draw(report: Report, directory: Path) -> list[Path]:
    ratios = {
        each.family.name: [
            (float(minutes), each.scores[name].ratio)
            for minutes, name in zip(HORIZON_MINUTES, HORIZONS, strict=True)
            if name in each.scores
        ]
        for each in report.judged
    }
    paths = []
    lines = dict([(name, points) for name, points in ratios.items() if points][:_MOST_LINES])
    if lines:
        paths.append(directory / f"forecast-errors-{_slug(report)}.svg")
        title = "Error of the forecasts, in errors of each family's best simple baseline"
        chart = line_chart(title, "minutes ahead", "MASE ratio: below 1 is better", lines, log_x=False)
        paths[-1].write_text(chart)
    for contest in report.contests:
        days = len(contest.daily[NOBODY])
        sums = {
            rival: [(float(day + 1), float(total)) for day, total in enumerate(np.cumsum(daily))]
            for rival, daily in contest.daily.items()
            if rival not in (NOBODY, RESTLESS)
        }
        paths.append(directory / f"forecast-overload-{contest.name.split()[0]}.svg")
        title = (
            f"Overload on {contest.name}: {contest.nodes} nodes, {contest.partitions} partitions, {days} days in all"
        )
        paths[-1].write_text(line_chart(title, "day", "minutes of overload so far", sums, log_x=False))
    return paths


def _forecasts(report: Report, console: Console) -> None:
    table = Table(title="forecasts", title_justify="left")
    for name in (
        "family",
        "",
        "ahead",
        "MASE",
        "best baseline",
        "its MASE",
        "ratio",
        "9 in 10",
        "WAPE",
        "its",
        "below .9",
    ):
        table.add_column(name, justify="left" if name in ("family", "", "best baseline") else "right")
    for each in report.judged:
        for name, score in each.scores.items():
            low, high = score.interval
            table.add_row(
                each.family.name if name == HORIZONS[0] else "",
                each.kind.value if name == HORIZONS[0] else "",
                name,
                f"{score.mase:.3f}",
                score.best_baseline,
                f"{score.mase_by_baseline[score.best_baseline]:.3f}",
                f"{score.ratio:.3f}",
                f"{low:.2f}-{high:.2f}",
                f"{score.wape:.3f}",
                f"{score.wape_of_best_baseline:.3f}",
                f"{score.coverage:.3f}",
            )
        table.add_section()
    console.print(table)
    for kinds in _HEADLINE:
        ratios = [(name, report.ratio(name, kinds)) for name in HORIZONS]
        shown = ", ".join(f"{name} {ratio:.3f}" for name, ratio in ratios if ratio is not None)
        if shown:
            names = " and ".join(kind.value for kind in kinds)
            console.print(f"MASE to the best baseline's, {names}: {shown}", highlight=False)


def _contest(contest: Contest, console: Console) -> None:
    title = (
        f"balancers on {contest.name}: {contest.partitions} partitions on {contest.nodes} nodes, "
        f"{contest.days:.0f} days, {contest.lots} lots, {contest.full:.0%} used at the busiest"
    )
    table = Table(title=title, title_justify="left")
    for name in ("balancer", "limit", "overload minutes", "leaders moved", "replicas copied", "bytes", "undone"):
        table.add_column(name, justify="left" if name == "balancer" else "right")
    for rival, tally in contest.tallies.items():
        moved = (f"{tally.leader_moves}", f"{tally.replica_moves}", f"{tally.copied:.0f}", f"{tally.undone_share:.1%}")
        limit = () if rival == NOBODY else (f"{tally.limit:.2f}",)
        table.add_row(rival, *(limit or ("",)), f"{tally.overload_minutes:.0f}", *(moved if limit else ()))
    console.print(table)
    low, high = contest.interval
    console.print(
        f"overload of the predictive to the reactive balancer: {contest.ratio:.2f} (9 in 10: {low:.2f}-{high:.2f}), "
        f"to the one with any number of moves: {contest.restless_ratio:.2f}; bytes {contest.bytes_ratio:.2f}",
        highlight=False,
    )
    spots = contest.hotspots
    if spots is not None:
        console.print(
            f"new hotspots (top {spots.top}): recall {spots.recall:.2f} of {spots.events}, "
            f"precision {spots.precision:.2f} of {spots.alarms} alarms",
            highlight=False,
        )


def _replay(contest: Contest | None) -> dict[str, Any]:
    if contest is None:
        return {"overload_minutes_ratio_to_reactive": None}
    ours, spots = contest.tallies[PREDICTIVE], contest.hotspots
    return {
        "overload_minutes_ratio_to_reactive": _number(contest.ratio),
        "ratio_interval_90": [_number(bound) for bound in contest.interval],
        "overload_minutes_ratio_to_reactive_with_any_number_of_moves": _number(contest.restless_ratio),
        "bytes_ratio_to_reactive": _number(contest.bytes_ratio),
        "undone_share": _number(ours.undone_share),
        "on": contest.name,
        "partitions": contest.partitions,
        "nodes": contest.nodes,
        "days": _number(contest.days),
        "lots": contest.lots,
        "full_at_the_busiest": contest.full,
        "balancers": {
            rival: {
                "limit": tally.limit,
                "overload_minutes": tally.overload_minutes,
                "leader_moves": tally.leader_moves,
                "replica_moves": tally.replica_moves,
                "bytes_moved": _number(tally.copied),
                "moves_undone": tally.undone,
            }
            for rival, tally in contest.tallies.items()
        },
        "new_hotspots": None
        if spots is None
        else {
            "top": spots.top,
            "events": spots.events,
            "recall": _number(spots.recall),
            "alarms": spots.alarms,
            "precision": _number(spots.precision),
        },
    }


def _slug(report: Report) -> str:
    return "real" if any(each.kind is Kind.REAL for each in report.judged) else "synthetic"


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _number(value: float | None) -> float | None:
    """JSON knows neither NaN nor infinity."""
    return None if value is None or not np.isfinite(value) else round(float(value), 4)
