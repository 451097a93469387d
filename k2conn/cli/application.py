"""The commands and their options; what they do is in the module of each command's name."""

from __future__ import annotations

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
