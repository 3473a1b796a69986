"""The pytest plugin, as another project's suite meets it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from sprawl.testing.settings import QUICK

DOCS = Path(__file__).parents[2] / "docs"


def suite(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a suite as its owner does: in a process and a directory of its own."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--strict-markers", *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=100, check=False)


def test_the_example_in_the_documentation_passes(tmp_path: Path) -> None:
    for source in sorted((DOCS / "examples" / "orders").glob("*.py")):
        (tmp_path / source.name).write_text(source.read_text())
    done = suite(tmp_path)
    assert "3 passed" in done.stdout, done.stdout


def test_the_pieces_of_code_in_the_documentation_pass(tmp_path: Path) -> None:
    pieces = re.findall(r"```python\n(.*?)```", (DOCS / "testing.md").read_text(), re.DOTALL)
    for number, piece in enumerate(pieces):
        (tmp_path / f"test_{number}.py").write_text(piece)
    done = suite(tmp_path)
    assert "6 passed" in done.stdout, done.stdout


def test_the_documentation_has_every_setting_that_differs() -> None:
    text = (DOCS / "testing.md").read_text()
    for key, value in QUICK.items():
        row = next((line for line in text.splitlines() if line.startswith(f"| `{key}` |")), "")
        assert row.split("|")[2].strip().strip("`") == value, key


def test_markers_add_up_and_the_nearest_wins(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "pytestmark = pytest.mark.sprawl(nodes=2, num_partitions=5)\n"
        "def test_module(sprawl_cluster):\n"
        "    sprawl_cluster.create_topic('t')\n"
        "    assert (len(sprawl_cluster.nodes), sprawl_cluster.partition('t', 4).leader > 0) == (2, True)\n"
        "@pytest.mark.sprawl(1)\n"
        "def test_nearest(sprawl_cluster):\n"
        "    sprawl_cluster.create_topic('t')\n"
        "    assert (len(sprawl_cluster.nodes), sprawl_cluster.partition('t', 4).leader) == (1, 1)\n"
    )
    done = suite(tmp_path)
    assert "2 passed" in done.stdout, done.stdout


def test_tests_share_a_cluster_and_each_has_its_topic(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\nsprawl_session_nodes = 2\n")
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "seen = []\n"
        "@pytest.mark.parametrize('what', ['a b', 'a/b', 'x' * 300])\n"
        "def test_one(sprawl_session, sprawl_topic, what):\n"
        "    seen.append((sprawl_session.id, sprawl_topic))\n"
        "    assert sprawl_session.topics() == [sprawl_topic]\n"
        "    assert sprawl_session.faults.ordered == () and sprawl_session.node(2).running\n"
        "    sprawl_session.faults.drop(None, times=None)\n"
        "    sprawl_session.node(2).kill()\n"
        "def test_two():\n"
        "    assert len({id for id, _ in seen}) == 1 and len({topic for _, topic in seen}) == 3\n"
    )
    done = suite(tmp_path)
    assert "4 passed" in done.stdout, done.stdout


def test_who_does_not_use_it_does_not_load_it(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import sys\n"
        "def test_nothing_is_loaded():\n"
        "    loaded = {name for name in sys.modules if name.startswith('sprawl')}\n"
        "    assert loaded == {'sprawl', 'sprawl.testing', 'sprawl.testing.plugin'}\n"
        "    assert not {'cryptography', 'rocksdict', 'construct', 'uvloop'} & sys.modules.keys()\n"
    )
    done = suite(tmp_path)
    assert "1 passed" in done.stdout, done.stdout


def test_a_cluster_that_cannot_be_is_an_error_of_its_test_alone(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "@pytest.mark.sprawl(num_partitions=0)\n"
        "def test_bad(sprawl_cluster): pass\n"
        "def test_good(sprawl_cluster): pass\n"
    )
    done = suite(tmp_path)
    assert "1 passed, 1 error" in done.stdout, done.stdout
    assert "num.partitions" in done.stdout


def test_the_fixtures_are_told_of(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("")
    assert "@pytest.mark.sprawl(nodes=1" in suite(tmp_path, "--markers").stdout
    fixtures = suite(tmp_path, "--fixtures").stdout
    for name in ("sprawl_cluster", "sprawl_session", "sprawl_topic"):
        assert name in fixtures


pytestmark = pytest.mark.timeout(110)
