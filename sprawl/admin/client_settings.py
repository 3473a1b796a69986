"""How to reach a cluster, from the settings of Kafka's Java clients: `bootstrap.servers`, `security.protocol`,
`sasl.*`, `ssl.*`.

In: settings by name. Out: `ClientSettings`, or `BadSettings` that names what cannot be done and what to do instead.
Settings that do not concern the connection are passed over, as Java's clients do.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sprawl.admin.sasl import MECHANISMS, Credentials
from sprawl.config.properties import PropertiesError, parse_properties

PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_JAAS_OPTION: Final = re.compile(r"""([A-Za-z_.]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([^\s;"']+))""")
_SECRET: Final = re.compile(r"password|jaas|keystore\.key|token|secret", re.IGNORECASE)
_DEFAULT_MECHANISM: Final = "GSSAPI"


class BadSettings(ValueError):
    """What these settings ask for cannot be done."""


@dataclass(frozen=True, slots=True)
class ClientSettings:
    bootstrap: str | None = None
    tls: ssl.SSLContext | None = None
    credentials: Credentials | None = None


def read_settings(path: Path) -> dict[str, str]:
    """A file of Java properties. Raises `BadSettings`."""
    try:
        return {entry.key: entry.value for entry in parse_properties(path.read_text(encoding="utf-8"))}
    except OSError as problem:
        raise BadSettings(f"{path}: {problem.strerror or problem}") from None
    except (PropertiesError, UnicodeDecodeError) as problem:
        raise BadSettings(f"{path}: {problem}") from None


def has_secrets(given: Mapping[str, str]) -> bool:
    return any(_SECRET.search(name) and value for name, value in given.items())


def client_settings(given: Mapping[str, str]) -> ClientSettings:
    """Raises `BadSettings`."""
    protocol = given.get("security.protocol", "PLAINTEXT").upper()
    if protocol not in PROTOCOLS:
        raise BadSettings(f"security.protocol={protocol}: one of {', '.join(PROTOCOLS)}")
    return ClientSettings(
        given.get("bootstrap.servers"),
        _tls(given) if protocol.endswith("SSL") else None,
        _credentials(given) if protocol.startswith("SASL") else None,
    )


def _credentials(given: Mapping[str, str]) -> Credentials:
    mechanism = given.get("sasl.mechanism", _DEFAULT_MECHANISM)
    if mechanism not in MECHANISMS:
        raise BadSettings(f"sasl.mechanism={mechanism}: sprawl-admin knows {', '.join(MECHANISMS)}")
    jaas = given.get("sasl.jaas.config", "")
    options = {
        name: re.sub(r"\\(.)", r"\1", double) if double else single or bare
        for name, double, single, bare in _JAAS_OPTION.findall(jaas)
    }
    if "username" not in options or "password" not in options:
        raise BadSettings('sasl.jaas.config: name username="..." and password="..."')
    return Credentials(mechanism, options["username"], options["password"])


def _tls(given: Mapping[str, str]) -> ssl.SSLContext:
    """Raises `BadSettings`."""
    for store in ("truststore", "keystore"):
        kind = given.get(f"ssl.{store}.type", "JKS").upper()
        if kind != "PEM" and given.get(f"ssl.{store}.location"):
            raise BadSettings(
                f"ssl.{store}.type={kind}: only PEM can be read here; convert it with keytool and openssl"
            )
    context = ssl.create_default_context()
    try:
        if location := given.get("ssl.truststore.location"):
            context.load_verify_locations(cafile=location)
        if certificates := given.get("ssl.truststore.certificates"):
            context.load_verify_locations(cadata=certificates)
        if location := given.get("ssl.keystore.location"):
            context.load_cert_chain(location, password=given.get("ssl.key.password"))
        elif given.get("ssl.keystore.key"):
            raise BadSettings("ssl.keystore.key: put key and chain into a file, and name it in ssl.keystore.location")
    except (OSError, ssl.SSLError, ValueError) as problem:
        if isinstance(problem, BadSettings):
            raise
        raise BadSettings(f"ssl: the PEM files cannot be used: {problem}") from None
    if given.get("ssl.endpoint.identification.algorithm", "https") == "":
        context.check_hostname = False
    return context
