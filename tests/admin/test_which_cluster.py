"""Profiles, `--command-config` and SASL: which cluster a command is about, and who one is there."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sprawl.admin import cli, profile_commands
from sprawl.admin.client_settings import BadSettings, client_settings
from sprawl.admin.profiles import Profiles, load, save
from sprawl.admin.sasl import Credentials, SaslError, Scram
from sprawl.admin.session import CONFLICT, NOT_FOUND, UNREACHABLE, USAGE
from sprawl.testing import Cluster

JAAS = 'org.apache.kafka.common.security.plain.PlainLoginModule required username="me" password="a \\"b\\"; c";'
SASL = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.jaas.config": JAAS}


@pytest.fixture(autouse=True)
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config" / "profiles.toml"
    monkeypatch.setattr(profile_commands, "profiles_file", lambda: path)
    return path


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(1, in_memory=True) as running:
        yield running


def admin(*words: str) -> Result:
    return CliRunner().invoke(cli.app, list(words))


def test_a_profile_says_where_the_cluster_is(cluster: Cluster) -> None:
    assert admin("profile", "add", "here", "--bootstrap-server", cluster.bootstrap_servers).exit_code == 0
    assert admin("profile", "add", "away", "--bootstrap-server", "127.0.0.1:1").exit_code == 0
    assert admin("cluster", "describe").exit_code == 0, "the first one added is in use"
    assert admin("cluster", "describe", "--profile", "away", "--timeout", "2").exit_code == UNREACHABLE
    assert admin("profile", "use", "away").exit_code == 0
    assert admin("cluster", "describe", "--timeout", "2").exit_code == UNREACHABLE
    assert admin("cluster", "describe", "-b", cluster.bootstrap_servers).exit_code == 0
    rows = json.loads(admin("profile", "list").stdout)
    assert [(row["name"], row["current"]) for row in rows] == [("away", True), ("here", False)]
    assert admin("profile", "remove", "away").exit_code == 0
    assert [row["name"] for row in json.loads(admin("profile", "list").stdout)] == ["here"]


@pytest.mark.parametrize("option", ["-b {}", "--bootstrap {}", "--bootstrap-server={}", "--bootstrap-server {}"])
def test_the_brokers_may_be_named_before_the_command(cluster: Cluster, option: str) -> None:
    words = option.format(cluster.bootstrap_servers).split()
    assert admin(*words, "topic", "list").exit_code == 0
    assert admin(*words, "topic", "create", "--", "-early").exit_code == 0
    assert admin("topic", "delete", *words, "--yes", "--", "-early").exit_code == 0
    assert admin(*words[:1]).exit_code == USAGE


def test_what_profiles_refuse() -> None:
    assert admin("profile", "use", "none").exit_code == NOT_FOUND
    assert admin("profile", "remove", "none").exit_code == NOT_FOUND
    assert admin("profile", "add", "empty").exit_code == USAGE
    assert admin("--profile", "none", "topic", "list").exit_code == USAGE
    assert admin("profile", "add", "a", "-b", "h:1").exit_code == 0
    assert admin("profile", "add", "a", "-b", "h:2").exit_code == CONFLICT


def test_secrets_are_readable_by_their_owner_only_and_never_shown(tmp_path: Path, profiles: Path) -> None:
    source = tmp_path / "client.properties"
    source.write_text("\n".join(f"{key}={value}" for key, value in SASL.items()) + "\nbootstrap.servers=h:1\n")
    assert admin("profile", "add", "prod", "--from", str(source)).exit_code == 0
    assert stat.S_IMODE(profiles.stat().st_mode) == 0o600
    assert "password" not in admin("profile", "list").stdout
    profiles.chmod(0o644)
    done = admin("profile", "list")
    assert done.exit_code == USAGE
    assert "chmod 600" in done.stderr


def test_profiles_come_back_as_they_were_saved(profiles: Path) -> None:
    given = Profiles("a b", {"a b": {"bootstrap.servers": 'h:1"\\\n\x7f\u00e9'}, "c.d": {}})
    save(profiles, given)
    assert load(profiles) == given


def test_a_java_clients_file_says_where_the_cluster_is(cluster: Cluster, tmp_path: Path) -> None:
    file = tmp_path / "client.properties"
    file.write_text(f"bootstrap.servers={cluster.bootstrap_servers}\nacks=all\n")
    assert admin("cluster", "describe", "--command-config", str(file)).exit_code == 0
    assert admin("cluster", "describe", "--command-config", str(tmp_path / "none")).exit_code == USAGE


def test_credentials_are_read_from_jaas() -> None:
    found = client_settings(SASL).credentials
    assert found == Credentials("PLAIN", "me", 'a "b"; c')
    assert "a " not in repr(found)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"sasl.mechanism": "GSSAPI"}, "knows PLAIN"),
        ({"sasl.jaas.config": ""}, "username"),
        ({"security.protocol": "TLS"}, "one of PLAINTEXT"),
        ({"security.protocol": "SASL_SSL", "ssl.truststore.location": "/x.jks"}, "only PEM"),
        ({"security.protocol": "SSL", "ssl.keystore.key": "x"}, "ssl.keystore.location"),
        (
            {"security.protocol": "SSL", "ssl.truststore.type": "PEM", "ssl.truststore.location": "/nowhere.pem"},
            "cannot be used",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(changed: dict[str, str], says: str) -> None:
    with pytest.raises(BadSettings, match=says):
        client_settings({**SASL, **changed})


def test_host_names_are_checked_unless_told_not_to() -> None:
    tls = {"security.protocol": "SSL"}
    strict, lax = client_settings(tls).tls, client_settings({**tls, "ssl.endpoint.identification.algorithm": ""}).tls
    assert strict is not None
    assert lax is not None
    assert (strict.check_hostname, lax.check_hostname) == (True, False)


def scram() -> Scram:
    """The example of RFC 7677, section 3."""
    return Scram(Credentials("SCRAM-SHA-256", "user", "pencil"), "rOprNGfwEbeRWgbNEkqO")


CHALLENGE = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"


def test_scram_speaks_as_in_its_rfc() -> None:
    client = scram()
    assert client.first() == b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    assert client.final(CHALLENGE).endswith(b",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    client.check(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")


@pytest.mark.parametrize(
    "challenge",
    [
        b"",
        b"r=other,s=W22Z,i=4096",
        b"r=rOprNGfwEbeRWgbNEkqO,s=W22Z,i=4096",
        CHALLENGE + b"000000",
        CHALLENGE.replace(b"i=4096", b"i=0"),
        b"\xff",
    ],
)
def test_a_challenge_that_cannot_be_right_is_refused(challenge: bytes) -> None:
    with pytest.raises(SaslError):
        scram().final(challenge)


@pytest.mark.parametrize("last", [b"e=invalid-proof", b"", b"v=" + base64.b64encode(b"x" * 32)])
def test_a_broker_that_does_not_know_the_password_is_refused(last: bytes) -> None:
    client = scram()
    client.final(CHALLENGE)
    with pytest.raises(SaslError):
        client.check(last)
