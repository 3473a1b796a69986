"""What cannot be built here is read: container file, compose files, manifests, unit."""

from __future__ import annotations

import configparser
import importlib.util
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from sprawl.config.loading import load

TOP = Path(__file__).parents[2]
DEPLOY = TOP / "deploy"
INSTRUCTIONS = {
    *("FROM", "COPY", "RUN", "ENV", "USER", "WORKDIR", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT")
}


def entrypoint() -> ModuleType:
    spec = importlib.util.spec_from_file_location("entrypoint", DEPLOY / "docker/entrypoint.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def dockerfile() -> list[tuple[str, str]]:
    text = (DEPLOY / "docker/Dockerfile").read_text()
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#")).replace("\\\n", " ").splitlines()
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in lines if line.strip()]


def test_the_container_file_is_what_a_linter_wants() -> None:
    steps = dockerfile()
    assert {name for name, _ in steps} <= INSTRUCTIONS
    assert all(re.search(r":\d", rest) for name, rest in steps if name == "FROM"), "images are pinned"
    final = steps[[at for at, (name, _) in enumerate(steps) if name == "FROM"][-1] :]
    told = dict(final)
    assert told["USER"] == "1000:1000"
    assert told["ENTRYPOINT"].startswith("["), "signals reach the node"
    assert "sprawl" in told["HEALTHCHECK"]
    names = [name for name, _ in final]
    assert names.index("USER") > max(at for at, name in enumerate(names) if name in ("RUN", "COPY"))
    for rest in (rest for name, rest in final if name == "RUN" and "apt-get install" in rest):
        assert "--no-install-recommends" in rest
        assert "rm -rf /var/lib/apt/lists" in rest


def test_what_the_container_file_copies_is_there_and_not_ignored() -> None:
    ignored = (TOP / ".dockerignore").read_text().splitlines()
    for name, rest in dockerfile():
        if name == "COPY" and not rest.startswith("--from"):
            for source in rest.split()[:-1]:
                assert (TOP / source).exists(), source
                kept = {line.removeprefix("!") for line in ignored if line.startswith("!")}
                assert any(source.removeprefix("./").startswith(each) for each in kept), source


@pytest.mark.parametrize("file", ["one.yaml", "three.yaml"])
def test_compose_files_start_nodes_with_settings_that_stand(file: str) -> None:
    services = yaml.safe_load((DEPLOY / "compose" / file).read_text())["services"]
    ids = set()
    for service in services.values():
        given = {name: str(value) for name, value in service["environment"].items()}
        config = _config(entrypoint().settings(given))
        ids.add(config.id)
        assert config.sprawl_insecure
        assert all(each.advertised_host not in ("", "0.0.0.0") for each in config.endpoints)
    assert len(ids) == len(services)


def test_manifests_start_nodes_with_settings_that_stand() -> None:
    found = {each["kind"]: each for each in yaml.safe_load_all((DEPLOY / "kubernetes/sprawl.yaml").read_text())}
    pods = found["StatefulSet"]["spec"]
    [container] = pods["template"]["spec"]["containers"]
    given = {each["name"]: each.get("value", "") for each in container["env"]}
    given["SPRAWL_HOST"] = given["SPRAWL_HOST"].replace("$(POD_NAME)", "sprawl-0")
    given["KAFKA_NODE_ID"] = "0"
    settings = entrypoint().settings({name: value for name, value in given.items() if name != "SPRAWL_CLUSTER_SECRET"})
    config = _config(settings)
    assert config.sprawl_routing.value == "any"
    assert len(config.seeds) == pods["replicas"] == config.sprawl_expected_nodes
    grace = pods["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace * 1000 > config.sprawl_shutdown_timeout_ms + 5000 + 5000, "the drain, the closing, the preStop sleep"
    assert pods["template"]["spec"]["securityContext"]["runAsNonRoot"] is True
    paths = [container[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")]
    assert paths == ["/startupz", "/livez", "/readyz"]
    mounted = {each["name"] for each in container["volumeMounts"]}
    assert mounted == {"data", "tmp"}


def _config(settings: dict[str, str]) -> Any:
    return load(environment={k: v for k, v in settings.items() if k.startswith(("KAFKA_", "SPRAWL_"))}).config


def test_an_empty_environment_gives_what_kafkas_image_gives() -> None:
    config = _config(entrypoint().settings({}))
    [endpoint] = config.endpoints
    assert (endpoint.host, endpoint.port, endpoint.advertised_host) == ("0.0.0.0", 9092, "localhost")
    assert config.auto_create_topics_enable
    assert (config.id, config.data_dir) == (1, "/var/lib/sprawl")


def test_other_nodes_are_found_where_kafkas_variables_say() -> None:
    given = {
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@a:29093,2@b:29093",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_INTER_BROKER_LISTENER_NAME": "PLAINTEXT",
        "KAFKA_LISTENERS": "CONTROLLER://:29093,PLAINTEXT_HOST://:9092,PLAINTEXT://:19092",
    }
    settings = entrypoint().settings(given)
    assert settings["SPRAWL_SEEDS"] == "a:19092,b:19092"
    assert settings["KAFKA_LISTENERS"].startswith("PLAINTEXT://:19092")
    alone = entrypoint().settings({**given, "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@a:29093"})
    assert "SPRAWL_SEEDS" not in alone


def test_a_secret_that_was_given_is_used_and_one_that_was_not_follows_from_the_cluster() -> None:
    secret = entrypoint().secret
    assert secret({"SPRAWL_CLUSTER_SECRET": "x", "CLUSTER_ID": "a"}) == "x"
    assert secret({"CLUSTER_ID": "a"}) == secret({"CLUSTER_ID": "a"}) != secret({"CLUSTER_ID": "b"})


def test_the_unit_notifies_is_watched_and_has_time_to_stop() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(DEPLOY / "systemd/sprawl.service")
    service = unit["Service"]
    assert (service["Type"], service["WatchdogSec"], service["User"]) == ("notify", "30s", "sprawl")
    settings = load(file=("sprawl.toml", (DEPLOY / "systemd/sprawl.toml").read_text())).config
    assert int(service["TimeoutStopSec"].removesuffix("s")) * 1000 > settings.sprawl_shutdown_timeout_ms + 5000


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")
def test_systemd_has_nothing_against_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "sprawl.service"
    text = (DEPLOY / "systemd/sprawl.service").read_text()
    unit.write_text(text.replace("/opt/sprawl/bin/sprawl", shutil.which("true") or "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")
