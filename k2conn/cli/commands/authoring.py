"""Write connector files and try them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from k2conn.cli.commands.options import (
    AllowEnv,
    Chosen,
    Connector,
    Files,
    Format,
    FrameKey,
    Intervals,
    Streams,
    SymbolList,
)
from k2conn.cli.commands.registry import command
from k2conn.cli.completion import connectors


@command()
def validate(
    files: Files,
    format: Format = "text",
    allow_env: AllowEnv = None,
) -> None:
    """Check connector files: YAML, shape, meaning, and that their examples map.

    Example: k2conn validate connectors/*.yaml
    """
    from k2conn.cli.validate import run

    raise typer.Exit(run(files, format))


@command("map")
def map_(
    connector: Connector,
    file: Annotated[str, typer.Argument(help="Frames, one a line, rows, or a recording; - for standard input.")] = "-",
    frame_key: FrameKey = None,
    time_key: Annotated[
        str | None, typer.Option("--time-key", help="The key of the receipt time (ISO 8601, or seconds).")
    ] = None,
    session_key: Annotated[
        str | None, typer.Option("--session-key", help="A new value under this key starts a fresh connection state.")
    ] = None,
    streams: Streams = None,
    deduplicate: Annotated[bool, typer.Option("--deduplicate", help="Drop repeated records, as `run` does.")] = False,
    list: Annotated[
        Path | None, typer.Option("--list", help="The venue's instrument list: k2conn symbols NAME --save FILE.")
    ] = None,
    allow_env: AllowEnv = None,
) -> None:
    """Raw frames in, records out, without a network: one JSON object a record.

    Standard error has the dead letters, a sample of each kind of frame that no rule recognises, and the counts.
    Exits with 65 where there are dead letters.

    Example: k2conn map NAME frames.jsonl --frame-key raw --time-key local_timestamp --session-key session
    """
    from k2conn.cli.map import run

    raise typer.Exit(run(connector, file, frame_key, time_key, session_key, streams, deduplicate, list))


@command()
def test(
    connectors: Chosen = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Name the tests that pass too.")] = False,
    recording: Annotated[
        Path | None, typer.Option("--from", help="Play a recording instead: every frame must be understood.")
    ] = None,
    allow_env: AllowEnv = None,
) -> None:
    """Play the tests written in connector files, or a recording (k2conn record).

    Example: k2conn test connectors/NAME.yaml -v
    """
    from k2conn.cli.test import run as play

    raise typer.Exit(play(connectors or (), verbose, recording))


@command()
def explain(
    connector: Connector,
    symbols: SymbolList = None,
    allow_env: AllowEnv = None,
) -> None:
    """Show what a connector sends, recognises and makes of it.

    Example: k2conn explain NAME
    """
    from k2conn.cli.explain import run as show

    raise typer.Exit(show(connector, symbols))


@command()
def plan(
    connector: Connector,
    symbols: SymbolList = None,
    streams: Streams = None,
    intervals: Intervals = None,
    frames: Annotated[bool, typer.Option("--frames", help="Show the frames themselves.")] = False,
    capacity: Annotated[
        float | None,
        typer.Option(min=0.001, help="Records a second at the busiest, all symbols together: cores, memory, disk."),
    ] = None,
    outage: Annotated[str, typer.Option(help="How long the sink may be away, for --capacity.")] = "4h",
    allow_env: AllowEnv = None,
) -> None:
    """Show the sockets, frames, bytes and rates that running a connector takes.

    Example: k2conn plan NAME --symbols BTCUSDT,ETHUSDT --capacity 5000
    """
    from k2conn.cli.plan import run as show

    raise typer.Exit(show(connector, symbols, streams, frames, intervals, capacity, outage))


@command()
def probe(
    connector: Connector,
    symbols: SymbolList = None,
    streams: Streams = None,
    intervals: Intervals = None,
    seconds: Annotated[str, typer.Option(help="How long, such as 30 or 2m; Ctrl-C ends it earlier.")] = "60",
    frames: Annotated[int, typer.Option(min=0, max=1000, help="Of frames that look alike so many are shown.")] = 2,
    records: Annotated[int, typer.Option(min=0, max=1000, help="Of each stream so many records are shown.")] = 3,
    allow_env: AllowEnv = None,
) -> None:
    """Connect for a minute, and show what is sent, acknowledged and received, and the first records; or why none come.

    Nothing is published or kept. Exits with 0 where every stream gave records, 1 where one gave none, 65 where there
    are dead letters, 69 where no connection could be opened.

    \b
    Another symbol, one stream, all for two minutes: k2conn probe my.yaml --symbols A-USD --streams trade --seconds 2m
    Against a mock (k2conn mock my.yaml): K2_MY_WEBSOCKET_URL=ws://127.0.0.1:PORT/my k2conn probe my.yaml --seconds 5

    Example: k2conn probe NAME --seconds 30
    """
    from k2conn.cli.probe import ProbeOptions, run

    raise typer.Exit(run(ProbeOptions(connector, symbols, streams, intervals, seconds, frames, records)))


@command()
def symbols(
    connector: Connector,
    search: Annotated[
        str | None, typer.Option("--search", "-s", help="Only instruments with these words, in any case.")
    ] = None,
    files: Annotated[
        list[Path] | None, typer.Option("--from", help="A saved list in place of the venue's; once for each page.")
    ] = None,
    shown: Annotated[
        bool, typer.Option("--shown", help="What the connector's tests show of the list; nobody is asked.")
    ] = False,
    save: Annotated[Path | None, typer.Option(help="Keep the venue's answer in this file, for --from.")] = None,
    format: Format = "text",
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    allow_env: AllowEnv = None,
) -> None:
    """List the instruments that a venue says it has, and what each name means.

    It asks the venue as `run` would, with the connector's settings (K2_NAME_HTTP_URL, K2_NAME_PROXY). Exits with 1
    where no instrument is found, with 69 where the venue cannot be reached. --from also reads what curl saved.

    Example: k2conn symbols NAME --search BTC

    Example: k2conn symbols NAME --save list.json && k2conn symbols NAME --from list.json --json
    """
    from k2conn.cli.symbols import SymbolOptions
    from k2conn.cli.symbols import run as show

    form = "json" if json else format
    raise typer.Exit(show(SymbolOptions(connector, search, files or (), shown, save, form)))


@command("eval")
def eval_(
    expression: Annotated[str, typer.Argument(help="A JMESPath expression.")],
    file: Annotated[str, typer.Argument(help="JSON, or JSON lines; - for standard input.")] = "-",
    condition: Annotated[
        bool, typer.Option("--when", help="As in a `when:`: a value of a wrong type counts as null.")
    ] = False,
) -> None:
    """Evaluate a JMESPath expression as the engine does, on exact numbers.

    Example: echo '{"p": 64000.10}' | k2conn eval p
    """
    from k2conn.cli.eval import run as evaluate

    raise typer.Exit(evaluate(expression, file, condition))


@command()
def schema() -> None:
    """Print the JSON Schema of connector files: completion, hover text and errors in an editor.

    VS Code with the YAML extension, a line of settings.json:

    "yaml.schemas": {"./connector.schema.json": "connectors/*.yaml"}

    Any editor with the YAML language server, the first line of a file:

    # yaml-language-server: $schema=../connector.schema.json

    Example: k2conn schema > connector.schema.json
    """
    from k2conn.cli.schema import run as show

    raise typer.Exit(show())


@command()
def new(
    name: Annotated[str, typer.Argument(help="The connector's name: small letters, digits, _ and -.")],
    url: Annotated[str, typer.Option(help="Where the exchange's WebSocket is, such as wss://ws.example.com.")],
    sample: Annotated[str, typer.Option(help="Frames, one a line, or a recording; - for standard input.")],
    frame_key: FrameKey = None,
    docs: Annotated[str | None, typer.Option(help="The exchange's documentation, https://...")] = None,
    exchange: Annotated[str | None, typer.Option(help="The exchange's code in records (default: NAME).")] = None,
    asset_class: Annotated[
        str, typer.Option("--asset-class", help="crypto, equities, futures or options.")
    ] = "crypto",
    output: Annotated[str | None, typer.Option(help="The file to write, - for the screen; else NAME.yaml.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Draft a connector file from recorded frames: each guess with its reason, each gap marked.

    Example: k2conn new example --url wss://ws.example.com --sample frames.jsonl --frame-key raw
    """
    from k2conn.cli.new import NewOptions, run

    raise typer.Exit(run(NewOptions(name, url, sample, frame_key, docs, exchange, asset_class, output, force)))


@command()
def playground(
    file: Annotated[
        str | None,
        typer.Argument(
            autocompletion=connectors, help="A connector file, a shipped name, or a file that the page saved (.json)."
        ),
    ] = None,
    frames: Annotated[Path | None, typer.Option(help="Frames to begin with, one a line.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where the page is; 0 for any free port.")] = 9095,
) -> None:
    """Open a page for a browser: a connector file on the left, frames on the right, what becomes of them below.

    Nothing leaves this machine, no venue is talked to, and only this machine can reach the page. It shows problems by
    line, the kind of each frame, records, dead letters, and the way of each field; one file with both sides can be
    saved and opened again.

    Example: k2conn playground NAME --frames frames.jsonl
    """
    from k2conn.cli.playground.command import run

    raise typer.Exit(run(file, frames, port))


@command("list")
def list_(
    format: Format = "text",
) -> None:
    """List the shipped connectors.

    Example: k2conn list
    """
    from k2conn.cli.list import run as show

    raise typer.Exit(show(format))


@command()
def docs(
    connectors: Chosen = None,
    output: Annotated[Path, typer.Option(help="Where the pages go.")] = Path("docs/connectors"),
    dictionary: Annotated[
        Path | None, typer.Option(help="Write this file instead: what records hold, field by field.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 where a page is out of date.")] = False,
    allow_env: AllowEnv = None,
) -> None:
    """Write a Markdown page for each connector, and an index of them; or the data dictionary of all record types.

    Example: k2conn docs --check
    """
    if dictionary is not None:
        from k2conn.cli.dictionary import run as write

        raise typer.Exit(write(dictionary, check))
    from k2conn.cli.docs import run

    raise typer.Exit(run(connectors or (), output, check))
