"""The commands of `sprawl`: start a node, prepare its data directory, look at its settings, ask how it is.

Exit codes: 0 done, 1 failed, 2 wrong usage or settings; `sprawl status`: 0 ready, 5 unreachable, 7 not ready.
What a command needs is imported inside it, so that each starts fast.
"""

from __future__ import annotations

import enum
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer

from sprawl import __version__
from sprawl.options import USAGE, load_start, read

if TYPE_CHECKING:
    from sprawl.config.loading import Loaded

FAILED: Final = 1
UNREACHABLE: Final = 5
NOT_READY: Final = 7

app = typer.Typer(
    name="sprawl",
    help="A Kafka-compatible broker. `sprawl start` is all it takes; point any Kafka client at 127.0.0.1:9092.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
config_app = typer.Typer(
    help="Look at settings: what there is, what applies, what a file would do.", no_args_is_help=True
)
app.add_typer(config_app, name="config")

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="`sprawl.toml`, or Kafka's `server.properties`.", metavar="FILE"),
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", "-s", help="One setting; may be repeated.", metavar="KEY=VALUE")
]
NodeId = Annotated[int | None, typer.Option(help="This node's number; that of the first with --nodes.", metavar="N")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", "-d", help="Where the node keeps its data.", metavar="DIR")]


class Output(enum.StrEnum):
    TABLE = "table"
    JSON = "json"


@app.command()
def start(
    data_dir: DataDir = None,
    listeners: Annotated[
        str | None, typer.Option(help="Where to listen for Kafka clients.", metavar="NAME://HOST:PORT[,...]")
    ] = None,
    http: Annotated[str | None, typer.Option(help="Where to serve status and metrics.", metavar="HOST:PORT")] = None,
    config: ConfigFile = None,
    set_: SetOption = None,
    node_id: NodeId = None,
    seeds: Annotated[
        list[str] | None,
        typer.Option(help="Where other nodes of the cluster are; may be repeated.", metavar="HOST:PORT[,...]"),
    ] = None,
    nodes: Annotated[
        int | None, typer.Option(help="Run so many nodes, each a process, with ports counted up.", metavar="N", min=1)
    ] = None,
    restart: Annotated[bool, typer.Option("--restart", help="With --nodes: start a node again that has died.")] = False,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Allow listening beyond this machine without TLS and authentication.")
    ] = False,
) -> None:
    """Start a node, or several, and serve until SIGTERM or Ctrl-C.

    Example: `sprawl start --data-dir /var/lib/sprawl --listeners PLAINTEXT://127.0.0.1:9092 --http 127.0.0.1:9644`

    A cluster on this machine: `sprawl start --nodes 3 --data-dir /var/lib/sprawl` has its nodes on ports 9092, 9093
    and 9094, with their data in /var/lib/sprawl/node-1 and so on.

    A node that joins one, once `sprawl format` has given its directory the cluster's id and secret:
    `sprawl start --data-dir /var/lib/sprawl --seeds 192.0.2.7:9092`
    """
    if restart and nodes is None:
        _fail("--restart goes with --nodes: a node by itself is restarted by what started it.", USAGE)
    loaded = _load(
        config,
        set_,
        data_dir=_text(data_dir),
        listeners=listeners,
        http=http,
        node_id=_text(node_id),
        seeds=",".join(seeds) if seeds else None,
        insecure="true" if insecure else None,
    )
    if nodes is None:
        from sprawl.process import run

        raise typer.Exit(run(loaded))
    from sprawl import supervisor
    from sprawl.config.errors import ConfigError

    try:
        raise typer.Exit(supervisor.run(loaded, nodes, restart=restart))
    except ConfigError as problem:
        _fail(str(problem), USAGE)


@app.command("format")
def format_(
    data_dir: DataDir = None,
    node_id: NodeId = None,
    cluster_id: Annotated[str, typer.Option(help="Join this cluster instead of making a new id.", metavar="ID")] = "",
    secret_file: Annotated[
        Path | None,
        typer.Option(help="The cluster's secret: a copy of another node's `cluster.secret`.", metavar="FILE"),
    ] = None,
    nodes: Annotated[int | None, typer.Option(help="Prepare for `sprawl start --nodes N`.", metavar="N", min=1)] = None,
    config: ConfigFile = None,
    set_: SetOption = None,
) -> None:
    """Prepare a data directory: cluster id, node id, directory id, and the cluster's secret.

    `sprawl start` does this by itself where a directory is new. Doing it again changes nothing.

    Example: `sprawl format --data-dir /var/lib/sprawl --node-id 1`

    For a node of a cluster that exists on another machine:
    `sprawl format --data-dir /var/lib/sprawl --node-id 4 --cluster-id ID --secret-file cluster.secret`
    """
    loaded = _load(config, set_, data_dir=_text(data_dir), node_id=_text(node_id))
    from sprawl.config.errors import ConfigError
    from sprawl.config.members import members_of
    from sprawl.data_directory import prepare, prepare_all, read_secret

    base = loaded.config
    try:
        secret = None if secret_file is None else read_secret(str(secret_file))
        if nodes is None:
            prepared = [(base, prepare(base, cluster_id, secret))]
        else:
            members = members_of(base, nodes, "")
            prepared = list(zip(members, prepare_all(base, members, cluster_id, secret), strict=True))
    except (ConfigError, OSError) as problem:
        _fail(str(problem), FAILED)
    for one, identity in prepared:
        typer.echo(
            f"{one.data_dir}: cluster {identity.cluster_id}, node {identity.node_id}, directory {identity.directory_id}"
        )


@app.command()
def status(
    address: Annotated[
        str, typer.Option("--http", help="The node's status address.", metavar="HOST:PORT")
    ] = "127.0.0.1:9644",
    timeout: Annotated[float, typer.Option(help="Seconds to wait for an answer.", metavar="SECONDS")] = 3.0,
) -> None:
    """Ask a node whether it is ready. Exit code 0: ready; 7: not ready; 5: no answer.

    Example: `sprawl status --http 127.0.0.1:9644`
    """
    from http.client import HTTPConnection, HTTPException

    from sprawl.config.errors import ConfigError
    from sprawl.config.listeners import http_address

    try:
        where = http_address(address, insecure=True)
    except ConfigError as problem:
        _fail(str(problem), USAGE)
    if where is None:
        _fail("--http must be host:port, such as 127.0.0.1:9644.", USAGE)
    connection = HTTPConnection(where.host or "127.0.0.1", where.port, timeout=timeout)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        words = answer.read(4096).decode("utf-8", "replace").strip()
    except (OSError, HTTPException) as problem:
        _fail(f"{address}: no answer ({problem}). Is a node running there with --http {address}?", UNREACHABLE)
    finally:
        connection.close()
    if answer.status != 200:
        _fail(f"{address}: not ready: {words}", NOT_READY)
    typer.echo(f"{address}: ready")


@app.command()
def version() -> None:
    """Print the version. Example: `sprawl version`"""
    typer.echo(f"sprawl {__version__} (Python {sys.version.split()[0]})")


@config_app.command("list")
def config_list(
    pattern: Annotated[str, typer.Argument(help="Only keys that contain this.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Kafka's keys without effect too.")] = False,
    output: Annotated[Output, typer.Option("--output", "-o")] = Output.TABLE,
) -> None:
    """List the settings of a broker: key, type, default, meaning.

    Example: `sprawl config list retention`
    """
    from sprawl.config.broker import BROKER_DEFINITIONS
    from sprawl.config.definitions import text_of
    from sprawl.config.inert import inert_definitions

    known = [*BROKER_DEFINITIONS.values(), *(inert_definitions().values() if everything else ())]
    rows = [
        {
            "key": one.name,
            "type": one.type.name.lower(),
            "default": text_of(one.default),
            "allowed": one.range,
            "meaning": f"No effect: {one.inert}." if one.inert else one.doc,
        }
        for one in known
        if pattern in one.name and (everything or one.acts)
    ]
    _print_rows(rows, output)


@config_app.command("show")
def config_show(
    pattern: Annotated[str, typer.Argument(help="Only keys that contain this.")] = "",
    config: ConfigFile = None,
    set_: SetOption = None,
    output: Annotated[Output, typer.Option("--output", "-o")] = Output.TABLE,
) -> None:
    """Show the settings that a start with the same file, variables and options would have, and where each is from.

    Example: `sprawl config show --config server.properties`
    """
    from sprawl.config.broker import BROKER_DEFINITIONS
    from sprawl.config.definitions import text_of

    loaded = _load(config, set_)
    settings = loaded.config
    rows = [
        {
            "key": one.name,
            "value": "(hidden)" if one.sensitive else text_of(settings.value_of(one.name)),
            "from": settings.sources.get(one.name, "default"),
        }
        for one in BROKER_DEFINITIONS.values()
        if pattern in one.name and one.acts
    ]
    _print_rows(rows, output)
    if loaded.warning:
        typer.echo(f"Warning: {loaded.warning}", err=True)


@config_app.command("check")
def config_check(file: Annotated[Path, typer.Argument(help="`sprawl.toml` or `server.properties`.")]) -> None:
    """Check a file without starting anything. Exit code 0: usable; 1: not.

    Example: `sprawl config check /etc/kafka/server.properties`
    """
    from sprawl.config.errors import ConfigError
    from sprawl.config.loading import load

    try:
        loaded = load(file=(str(file), read(str(file))))
    except ConfigError as problem:
        _fail(str(problem), FAILED)
    for notice in loaded.notices:
        typer.echo(f"no effect: {notice}")
    acting = len(loaded.config.given) - len(loaded.notices)
    typer.echo(f"{file}: usable; {acting} settings act, {len(loaded.notices)} have no effect")


def _load(file: Path | None, pairs: list[str] | None, **options: str | None) -> Loaded:
    """Everything that can be set, from everywhere; exits with a message where something is wrong."""
    from sprawl.config.errors import ConfigError

    try:
        return load_start(None if file is None else str(file), pairs or (), options)
    except ConfigError as problem:
        _fail(str(problem), USAGE)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _print_rows(rows: list[dict[str, str | None]], output: Output) -> None:
    from sprawl.admin.tables import print_json, print_table

    if output is Output.JSON:
        print_json(rows)
    else:
        print_table(rows)


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(f"Error: {message}", err=True)
    raise typer.Exit(code)
