"""The commands and their options; what they do is in the module of each command's name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

application = typer.Typer(
    name="k2conn",
    help="Exchange market data into Kafka, declared in YAML.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Connector = Annotated[str, typer.Argument(help="A connector file, or the name of a shipped one.")]
Files = Annotated[list[str], typer.Argument(help="Connector files, or names of shipped ones.")]
Streams = Annotated[str | None, typer.Option("--streams", help="Only these streams, comma-separated.")]


def _version(wanted: bool) -> None:
    if wanted:
        from k2conn import __version__

        typer.echo(f"k2conn {__version__}")
        raise typer.Exit


@application.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Exchange market data into Kafka, declared in YAML."""


@application.command()
def validate(
    files: Files,
    format: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
) -> None:
    """Check connector files: YAML, shape, meaning, and that their examples map.

    Example: k2conn validate connectors/*.yaml
    """
    from k2conn.cli.validate import run

    raise typer.Exit(run(files, format))


@application.command("map")
def map_(
    connector: Connector,
    file: Annotated[str, typer.Argument(help="A file of frames, one a line; - for standard input.")] = "-",
    frame_key: Annotated[
        str | None, typer.Option("--frame-key", help="Lines are JSON objects that hold the frame under this key.")
    ] = None,
    time_key: Annotated[
        str | None, typer.Option("--time-key", help="The key of the receipt time (ISO 8601, or seconds).")
    ] = None,
    session_key: Annotated[
        str | None, typer.Option("--session-key", help="A new value under this key starts a fresh connection state.")
    ] = None,
    streams: Streams = None,
    deduplicate: Annotated[bool, typer.Option("--deduplicate", help="Drop repeated records, as `run` does.")] = False,
) -> None:
    """Raw frames in, records out, without a network: one JSON object a record.

    Example: k2conn map kraken frames.jsonl --frame-key raw --time-key local_timestamp --session-key session
    """
    from k2conn.cli.map import run

    raise typer.Exit(run(connector, file, frame_key, time_key, session_key, streams, deduplicate))


@application.command()
def run(
    connectors: Annotated[
        list[str] | None, typer.Argument(help="Connector files or shipped names; else what the environment enables.")
    ] = None,
    symbols: Annotated[str | None, typer.Option(help="Comma-separated, as the venue writes them.")] = None,
    streams: Streams = None,
    sink: Annotated[str | None, typer.Option(help="kafka, file or console.")] = None,
    folder: Annotated[Path | None, typer.Option(help="Where the file sink writes (default: data).")] = None,
    kafka: Annotated[str | None, typer.Option(help="Kafka's bootstrap servers, host:port,...")] = None,
    registry: Annotated[str | None, typer.Option(help="The schema registry's address.")] = None,
    duration: Annotated[str | None, typer.Option(help="Stop after this long, such as 30s.")] = None,
    max_records: Annotated[int | None, typer.Option(min=1, help="Stop after so many records.")] = None,
    summary: Annotated[Path | None, typer.Option(help="Write the final ledger to this JSON file.")] = None,
    host: Annotated[str, typer.Option(envvar="K2_METRICS_HOST", help="Where /metrics and /health listen.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(envvar="K2_METRICS_PORT", help="Their port; 0 for any, -1 for none.")
    ] = 9091,
    log_level: Annotated[str, typer.Option(envvar="K2_LOG_LEVEL", help="debug, info, warning or error.")] = "info",
    daemon: Annotated[bool, typer.Option("--daemon", help="Logs as JSON, for containers.")] = False,
) -> None:
    """Run connectors: live streams into Kafka, files or the console.

    Without a Kafka address (flag or K2_KAFKA_BOOTSTRAP_SERVERS) records go to Avro files in ./data.

    Example: k2conn run kraken --symbols BTC/USD --kafka localhost:9092 --registry http://localhost:8081
    """
    from k2conn.cli.run import Options
    from k2conn.cli.run import run as start

    options = Options(
        connectors or (), symbols, streams, sink, folder, kafka, registry, duration, max_records, summary, host, port,
        log_level, daemon,
    )
    raise typer.Exit(start(options))


@application.command()
def test(
    connectors: Annotated[
        list[str] | None, typer.Argument(help="Connector files or shipped names; else all shipped ones.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Name the tests that pass too.")] = False,
) -> None:
    """Play the tests written in connector files.

    Example: k2conn test connectors/kraken.yaml -v
    """
    from k2conn.cli.test import run as play

    raise typer.Exit(play(connectors or (), verbose))


@application.command("list")
def list_(
    format: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
) -> None:
    """List the shipped connectors.

    Example: k2conn list
    """
    from k2conn.cli.list import run as show

    raise typer.Exit(show(format))


@application.command()
def explain(
    connector: Connector,
    symbols: Annotated[str | None, typer.Option(help="Comma-separated; else the defaults.")] = None,
) -> None:
    """Show what a connector sends, recognises and makes of it.

    Example: k2conn explain kraken
    """
    from k2conn.cli.explain import run as show

    raise typer.Exit(show(connector, symbols))


@application.command()
def plan(
    connector: Connector,
    symbols: Annotated[str | None, typer.Option(help="Comma-separated; else the defaults.")] = None,
    streams: Streams = None,
    frames: Annotated[bool, typer.Option("--frames", help="Show the frames themselves.")] = False,
) -> None:
    """Show the sockets, frames, bytes and rates that running a connector takes.

    Example: k2conn plan binance --symbols BTCUSDT,ETHUSDT,SOLUSDT --frames
    """
    from k2conn.cli.plan import run as show

    raise typer.Exit(show(connector, symbols, streams, frames))


@application.command("eval")
def eval_(
    expression: Annotated[str, typer.Argument(help="A JMESPath expression.")],
    file: Annotated[str, typer.Argument(help="JSON, or JSON lines; - for standard input.")] = "-",
    condition: Annotated[bool, typer.Option("--when", help="As in `when`: a wrong type is null, no error.")] = False,
) -> None:
    """Evaluate a JMESPath expression as the engine does, on exact numbers.

    Example: echo '{"p": 64000.10}' | k2conn eval p
    """
    from k2conn.cli.eval import run as evaluate

    raise typer.Exit(evaluate(expression, file, condition))
