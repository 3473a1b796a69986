"""The wheel and the source distribution: what is in them installs and runs outside the checkout.

What the broker depends on is taken from this environment: the network is not asked.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]
TIMEOUT = 110


def run(*command: str | Path, cwd: Path, **env: str) -> str:
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(each) for each in command], cwd=cwd, env={**clean, **env}, capture_output=True, text=True, timeout=TIMEOUT
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both, built by the backend itself: the wheel from the unpacked source distribution, as installers do it."""
    pytest.importorskip("hatchling")
    out = tmp_path_factory.mktemp("dist")
    build = "import sys; from hatchling.build import {0}; print({0}(sys.argv[1]))"
    name = run(sys.executable, "-c", build.format("build_sdist"), out, cwd=TOP).split()[-1]
    with tarfile.open(out / name) as archive:
        archive.extractall(out, filter="data")
    source = out / name.removesuffix(".tar.gz")
    wheel = run(sys.executable, "-c", build.format("build_wheel"), out, cwd=source).split()[-1]
    return {"sdist": out / name, "source": source, "wheel": out / wheel}


def test_the_wheel_has_both_packages_and_nothing_else(built: dict[str, Path]) -> None:
    with zipfile.ZipFile(built["wheel"]) as wheel:
        names = wheel.namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"sprawl", "sprawl_protocol"}
    modules = {path.relative_to(TOP).as_posix() for path in (TOP / "sprawl").rglob("*.py")}
    tracked = run("git", "ls-files", "sprawl", cwd=TOP).split() if (TOP / ".git").exists() else []
    assert modules & set(tracked) <= set(names)
    assert "sprawl/py.typed" in names


def test_the_source_distribution_has_what_building_takes_and_the_licence(built: dict[str, Path]) -> None:
    for name in (
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "sprawl/__init__.py",
        "protocol/sprawl_protocol/__init__.py",
    ):
        assert (built["source"] / name).exists(), name
    assert not (built["source"] / "tests").exists()


def test_what_is_installed_runs_outside_the_checkout(built: dict[str, Path], tmp_path: Path) -> None:
    home = tmp_path / "venv"
    venv.create(home, with_pip=False, symlinks=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    with zipfile.ZipFile(built["wheel"]) as wheel:
        wheel.extractall(packages)
    # The editable install of this checkout must not be found: its .pth is not read from a plain path entry.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    python = home / "bin/python"
    where = run(
        python, "-c", "import sprawl, sprawl_protocol; print(sprawl.__file__, sprawl_protocol.__file__)", cwd=tmp_path
    )
    assert all(each.startswith(str(packages)) for each in where.split()), where
    version = run(python, "-m", "sprawl.cli", "version", cwd=tmp_path)
    assert version.strip()
    run(python, "-m", "sprawl.cli", "format", "--data-dir", tmp_path / "data", cwd=tmp_path)
    assert (tmp_path / "data").exists()
    node = subprocess.Popen(
        [python, "-m", "sprawl.cli", "start", "-d", tmp_path / "data", "--listeners", "PLAINTEXT://127.0.0.1:0"],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert node.stderr is not None
        lines = []
        for line in node.stderr:
            lines.append(line)
            if "ready in" in line:
                break
        assert "ready in" in "".join(lines[-1:]), "".join(lines)
        node.terminate()
        assert node.wait(60) == 0
    finally:
        node.kill()
        node.wait()
        if node.stderr is not None:
            node.stderr.close()
