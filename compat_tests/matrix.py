"""The matrix of clients and features: gathered from the tests' outcomes, shown at the end, written to
`docs/compatibility.md`.

A pytest plugin. In: each test's report, with the client (its folder) and the feature (its marker) attached as
properties, so that it works
across xdist workers. Out: a table in the terminal, and the page, which holds nothing that changes from run to run
without cause
(no times, no dates). The page is written only by a whole run against Sprawl.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from compat_tests import brokers
from compat_tests.clients import CLIENTS, Client, why_absent

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "compatibility.md"
#: The rows, in the order a reader wants them. A marker with another name is an error.
FEATURES = (
    "produce and consume",
    "keys, headers, empty and null values",
    "tombstones",
    "compression",
    "large messages",
    "whole file, byte by byte",
    "acks",
    "idempotence",
    "pipelining",
    "many partitions",
    "timestamps",
    "seek",
    "seek by time",
    "long poll",
    "fetch sessions",
    "groups: join and leave",
    "groups: static membership",
    "groups: committed offsets",
    "admin: topics",
    "admin: partitions",
    "admin: configs",
    "admin: delete records",
    "admin: groups",
    "admin: cluster",
    "auto-create",
    "errors",
    "every version",
    "bad input",
    "restart",
    "kill -9",
    "a cluster, talking to its nodes",
    "a cluster behind one address",
)
#: Folders whose tests are not about a client: about a server Sprawl talks to, about clusters. They have no row, but for
#: the tests that name a client themselves: `feature(name, client=folder)`.
OTHERS = ("admin", "objects", "tiers", "cluster", "chaos", "compaction")
Cell = dict[str, int]


class Matrix:
    """Collects outcomes while the tests run; at the end prints and, if the run was whole, writes."""

    def __init__(self) -> None:
        self.cells: dict[tuple[str, str], Cell] = defaultdict(lambda: defaultdict(int))
        self.reasons: dict[str, set[str]] = defaultdict(set)
        self.whole = False

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            if HERE not in item.path.parents:
                continue
            marker = item.get_closest_marker("feature")
            folder = item.path.relative_to(HERE).parts[0]
            if folder in OTHERS:
                if marker is None:
                    continue
                folder = marker.kwargs["client"]
            if marker is None or marker.args[0] not in FEATURES:
                raise pytest.UsageError(
                    f"{item.nodeid} needs @pytest.mark.feature with a name from compat_tests/matrix.py"
                )
            # Clients leave sockets and event loops to the garbage collector; that is their matter.
            item.add_marker(pytest.mark.filterwarnings("ignore"))
            item.user_properties += [("client", folder), ("feature", marker.args[0])]
            if (reason := why_absent(folder)) is not None:
                item.add_marker(pytest.mark.skip(reason=reason))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._look_whether_whole(session.config, {item.path for item in session.items})

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: list[str]) -> None:
        """With pytest-xdist the processes collect, each of them everything."""
        self._look_whether_whole(node.config, {HERE.parent / each.split("::")[0] for each in ids})

    def _look_whether_whole(self, config: pytest.Config, files: set[Path]) -> None:
        narrowed = config.option.keyword or config.option.markexpr or getattr(config.option, "lf", False)
        named = any("::" in argument for argument in config.args)
        self.whole = not narrowed and not named and files >= set(HERE.rglob("test_*.py"))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        about = dict(report.user_properties)
        if "feature" not in about or (report.when != "call" and report.passed):
            return
        self.cells[str(about["feature"]), str(about["client"])][report.outcome] += 1
        if report.skipped and isinstance(report.longrepr, tuple):
            self.reasons[str(about["client"])].add(report.longrepr[2].removeprefix("Skipped: "))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if not self.cells:
            return
        clients = [client for client in CLIENTS if any(folder == client.folder for _, folder in self.cells)]
        console = Console(file=terminalreporter._tw._file, width=max(140, terminalreporter._tw.fullwidth))
        console.print(self._table(clients))
        if self.whole and not brokers.is_kafka():
            PAGE.write_text(self.page())
            console.print(f"written: {PAGE.relative_to(HERE.parent)}")

    def page(self) -> str:
        """The page in Markdown."""
        lines = [
            "# Which clients work, and with what",
            "",
            "Written by `make test` from what the tests in `compat_tests/` found: each client, unmodified, against a "
            "broker started by",
            "`sprawl start`. The same tests hold for Apache Kafka (`SPRAWL_COMPAT_TARGET=kafka`).",
            "",
            f"Tested: {brokers.describe()}.",
            "",
            "| feature | " + " | ".join(client.title for client in CLIENTS) + " |",
            "|---|" + "---|" * len(CLIENTS),
        ]
        for feature in FEATURES:
            cells = (_words(self.cells.get((feature, client.folder))) for client in CLIENTS)
            lines.append(f"| {feature} | " + " | ".join(cells) + " |")
        lines += [
            "",
            "The number is that of the tests that passed; an empty cell means that no test asks for it.",
            "",
            "| client | version |",
            "|---|---|",
        ]
        for client in CLIENTS:
            lines.append(f"| {client.title} | {_version(client)} |")
        if any(self.reasons.values()):
            lines += ["", "## Skipped, and why", ""]
            titles = {client.folder: client.title for client in CLIENTS}
            lines += [f"- {titles[folder]}: {reason}" for folder in titles for reason in sorted(self.reasons[folder])]
        return "\n".join(lines) + "\n"

    def _table(self, clients: Iterable[Client]) -> Table:
        table = Table(title=f"{brokers.describe()}: clients and features", title_justify="left")
        table.add_column("feature")
        for client in clients:
            table.add_column(client.title, justify="center")
        for feature in FEATURES:
            if any(row == feature for row, _ in self.cells):
                table.add_row(feature, *(_coloured(self.cells.get((feature, client.folder))) for client in clients))
        return table


def _words(cell: Cell | None) -> str:
    if not cell:
        return ""
    if cell.get("failed"):
        return f"**fail** ({cell['failed']} of {sum(cell.values())})"
    if cell.get("passed"):
        return f"pass ({cell['passed']})" + (f", {cell['skipped']} skipped" if cell.get("skipped") else "")
    return "skipped"


def _coloured(cell: Cell | None) -> str:
    words = _words(cell).replace("**", "")
    colour = {"": "dim", "f": "red", "p": "green", "s": "yellow"}[words[:1]]
    return f"[{colour}]{words or '-'}[/{colour}]"


def _version(client: Client) -> str:
    return "not here" if why_absent(client.folder) else client.version_of()
