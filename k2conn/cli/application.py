"""The commands and their options; what they do is in the module of each command's name."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from k2conn.cli.command import Command, CommandGroup

application = typer.Typer(
    name="k2conn",
    cls=CommandGroup,
    help="Exchange market data into Kafka, declared in YAML.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
command = partial(application.command, cls=Command)

Connector = Annotated[str, typer.Argument(help="A connector file, or the name of a shipped one.")]
Files = Annotated[list[str], typer.Argument(help="Connector files, or names of shipped ones.")]
Symbols = Annotated[
    list[str] | None, typer.Option(help="As the venue writes them: A,B or 'A B', or once for each.")
]
Port = Annotated[
    str, typer.Option(envvar="K2_METRICS_PORT", metavar="INTEGER", help="Their port; 0 for any, -1 for none.")
]
Streams = Annotated[str | None, typer.Option("--streams", help="Only these streams, comma-separated.")]
Intervals = Annotated[
    str | None, typer.Option("--intervals", help="Of streams with intervals these, such as 1m,1h; else the first.")
]
Running = Annotated[
    list[str] | None, typer.Argument(help="Connector files or shipped names; else what the environment enables.")
]
SinkName = Annotated[
    str | None, typer.Option(help="kafka, postgres, questdb, iceberg, file, console, or one of an installed package.")
]
SinkOptions = Annotated[
    list[str] | None, typer.Option(help="NAME=VALUE, a setting of that sink; as often as needed.")
]


def _allow(names: list[str] | None) -> list[str] | None:
    """What `--allow-env` allows holds for the whole process."""
    if names:
        from k2conn.cli.allowed_variables import allow

        allow(names)
    return names


AllowEnv = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-env", metavar="NAME", callback=_allow, help="A variable that files may read beside K2_<CONNECTOR>_*."
    ),
]
Folder = Annotated[Path | None, typer.Option(help="Where the file sink writes (default: data).")]
Kafka = Annotated[str | None, typer.Option(help="Kafka's bootstrap servers, host:port,...")]
Registry = Annotated[str | None, typer.Option(help="The schema registry's address.")]


def _end_early(number: int, frame: object) -> None:
    """SIGTERM before there is an event loop: nothing runs yet, so there is nothing to stop."""
    raise SystemExit(0)


def _version(wanted: bool) -> None:
    if wanted:
        from k2conn import __version__

        typer.echo(f"k2conn {__version__}")
        raise typer.Exit


def _variables(files: list[Path] | None) -> list[Path] | None:
    """What the files say where the environment says nothing, for the whole process and its children."""
    if files:
        from k2conn.settings.env_file import read_env_file

        for variables in map(read_env_file, files):
            for name, value in variables.items():
                os.environ.setdefault(name, value)
    return files


@application.callback()
def _root(
    env_file: Annotated[
        list[Path] | None, typer.Option(
            "--env-file", metavar="FILE", callback=_variables, is_eager=True,
            help="Variables, NAME=VALUE a line each; what the environment has comes first.",
        )
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Exchange market data into Kafka, declared in YAML."""
    size = os.environ.get("K2_DECIMALS", "").strip()
    if size:
        from k2conn.records import read_decimals, use_decimals

        use_decimals(read_decimals(size))
    folder = os.environ.get("K2_SCHEMAS", "").strip()
    if folder:
        from k2conn.records import add_records

        add_records(Path(folder))


@command()
def validate(
    files: Files,
    format: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
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
    allow_env: AllowEnv = None,
) -> None:
    """Raw frames in, records out, without a network: one JSON object a record.

    Standard error has the dead letters, a sample of each kind of frame that no rule recognises, and the counts.
    Exits with 65 where there are dead letters.

    Example: k2conn map NAME frames.jsonl --frame-key raw --time-key local_timestamp --session-key session
    """
    from k2conn.cli.map import run

    raise typer.Exit(run(connector, file, frame_key, time_key, session_key, streams, deduplicate))


@command()
def run(
    connectors: Running = None,
    symbols: Symbols = None,
    streams: Streams = None,
    intervals: Intervals = None,
    candles: Annotated[
        str | None, typer.Option("--candles", help="Make candles of the trades that pass, such as 1m,1h.")
    ] = None,
    features: Annotated[
        str | None, typer.Option("--features", help="Make features of candles of these intervals, such as 1m.")
    ] = None,
    audit: Annotated[
        bool | None, typer.Option("--audit/--no-audit", help="Compare trades with the venue's candles, where both run.")
    ] = None,
    sink: SinkName = None,
    sink_option: SinkOptions = None,
    folder: Folder = None,
    kafka: Kafka = None,
    registry: Registry = None,
    duration: Annotated[str | None, typer.Option(help="Stop after this long, such as 30s or 30.")] = None,
    max_records: Annotated[int | None, typer.Option(min=1, help="Stop after exactly so many records.")] = None,
    summary: Annotated[Path | None, typer.Option(help="Write the final ledger to this JSON file.")] = None,
    host: Annotated[
        str, typer.Option(envvar="K2_METRICS_HOST", help="Where /metrics and /health listen.")
    ] = "127.0.0.1",
    port: Port = "9091",
    log_level: Annotated[str, typer.Option(envvar="K2_LOG_LEVEL", help="debug, info, warning or error.")] = "info",
    daemon: Annotated[bool, typer.Option("--daemon", help="Print JSON and nothing else, for containers.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Reload a connector file when it changes.")] = False,
    workers: Annotated[
        str, typer.Option(
            envvar="K2_WORKERS", metavar="INTEGER", help="Processes that share the symbols, one core each (1 to 256)."
        )
    ] = "1",
    source: Annotated[
        str | None, typer.Option("--from", help="kafka: read topics, not connectors, into the sink.")
    ] = None,
    topics: Annotated[
        list[str] | None, typer.Option(help="With --from kafka: topics or patterns, such as 'market.*'.")
    ] = None,
    group: Annotated[str | None, typer.Option(help="With --from kafka: the consumer group (default: k2conn).")] = None,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="With --from kafka: a new group reads all that is there.")
    ] = False,
    record: Annotated[
        Path | None, typer.Option(help="Record all frames into this folder, beside the sink (K2_RECORD_FOLDER).")
    ] = None,
    allow_env: AllowEnv = None,
) -> None:
    """Run connectors: live streams into Kafka, files or the console. Or topics into tables.

    Without a Kafka address (flag or K2_KAFKA_BOOTSTRAP_SERVERS) records go to Avro files in ./data. With --from kafka
    records are read from topics, and go into any other sink.

    Example: k2conn run NAME --symbols BTC/USD --kafka localhost:9092 --registry http://localhost:8081
    """
    signal.signal(signal.SIGTERM, _end_early)  # before the imports, which take longer than anything else here
    from k2conn.cli.run import run as start
    from k2conn.cli.run_options import RunOptions

    options = RunOptions(
        connectors or (), symbols, streams, sink, folder, kafka, registry, duration, max_records, summary, host, port,
        log_level, daemon, watch, workers, sink_option or (), intervals, candles, audit, source, topics or (), group,
        from_beginning, features, record,
    )
    raise typer.Exit(start(options))


@command()
def record(
    connectors: Running = None,
    to: Annotated[Path, typer.Option("--to", help="The folder; it is made for this user alone.")] = Path("recording"),
    symbols: Symbols = None,
    streams: Streams = None,
    intervals: Intervals = None,
    duration: Annotated[str | None, typer.Option(help="Stop after this long, such as 30s or 30.")] = None,
    max_records: Annotated[int | None, typer.Option(min=1, help="Stop after so many records.")] = None,
    host: Annotated[
        str, typer.Option(envvar="K2_METRICS_HOST", help="Where /metrics and /health listen.")
    ] = "127.0.0.1",
    port: Port = "-1",
    log_level: Annotated[str, typer.Option(envvar="K2_LOG_LEVEL", help="debug, info, warning or error.")] = "info",
    daemon: Annotated[bool, typer.Option("--daemon", help="Print JSON and nothing else, for containers.")] = False,
    allow_env: AllowEnv = None,
) -> None:
    """Record the frames of connectors, and publish nothing: compressed JSON lines, bounded on disk.

    Files are rotated by size and age, and the oldest go (K2_RECORD_FILE_BYTES, K2_RECORD_FILE_SECONDS,
    K2_RECORD_MAX_BYTES). Known secrets are left out. `k2conn run --record FOLDER` records beside a sink.

    Example: k2conn record NAME --to recording --symbols BTC/USD --duration 10m
    """
    signal.signal(signal.SIGTERM, _end_early)
    from k2conn.cli.run import run as start
    from k2conn.cli.run_options import RunOptions

    options = RunOptions(
        connectors or (), symbols, streams, "none", duration=duration, max_records=max_records, host=host, port=port,
        log_level=log_level, daemon=daemon, intervals=intervals, record=to,
    )
    raise typer.Exit(start(options))


@command()
def replay(
    recording: Annotated[list[Path], typer.Argument(help="A folder that was recorded into, or files of one.")],
    connector: Annotated[
        list[str] | None,
        typer.Option("--connector", help="A connector file or shipped name; as often as needed; else all recorded."),
    ] = None,
    speed: Annotated[str, typer.Option(help="max, original, or how many times as fast: 10.")] = "max",
    times: Annotated[str, typer.Option(help="When records were received: original, or fresh (now).")] = "original",
    since: Annotated[str | None, typer.Option(help="Publish only what was recorded from this time on.")] = None,
    until: Annotated[str | None, typer.Option(help="Stop before this time.")] = None,
    streams: Streams = None,
    sink: SinkName = None,
    sink_option: SinkOptions = None,
    folder: Folder = None,
    kafka: Kafka = None,
    registry: Registry = None,
    summary: Annotated[Path | None, typer.Option(help="Write the final ledger to this JSON file.")] = None,
    log_level: Annotated[str, typer.Option(envvar="K2_LOG_LEVEL", help="debug, info, warning or error.")] = "warning",
    allow_env: AllowEnv = None,
) -> None:
    """Send a recording through its connectors into any sink: the same frames, in the same order, in the same sessions.

    No venue is talked to. With the times of the recording the records are those of the run that recorded it. A
    recording that was cut off is played up to there, and that is said (exit code 66).

    Example: k2conn replay recording --connector NAME.yaml --speed 10 --times fresh --sink console
    """
    from k2conn.cli.replay import ReplayOptions
    from k2conn.cli.replay import run as play
    from k2conn.cli.run_options import RunOptions

    to = RunOptions(streams=streams, sink=sink, folder=folder, kafka=kafka, registry=registry, summary=summary,
                    log_level=log_level, sink_options=sink_option or ())
    raise typer.Exit(play(ReplayOptions(recording, connector or (), to, speed, times, since, until)))


@command()
def tap(
    connector: Annotated[
        str | None, typer.Argument(help="Only of this one; --trace: its file, where it is no shipped one.")
    ] = None,
    at: Annotated[str, typer.Option("--at", help="Where /metrics and /health are.")] = "http://127.0.0.1:9091",
    streams: Streams = None,
    symbols: Annotated[
        str | None, typer.Option("--symbols", help="As records have them: BTCUSD, comma-separated.")
    ] = None,
    kinds: Annotated[
        str, typer.Option("--kinds", help="received, sent, record, dead, opened, ended, answered, carried.")
    ] = "record,dead",
    where: Annotated[
        str | None, typer.Option("--where", help="A condition in JMESPath on a line of --format json.")
    ] = None,
    count: Annotated[int, typer.Option(min=0, help="Stop after so many lines; 0: never.")] = 0,
    rate: Annotated[int, typer.Option(min=1, max=10_000, help="Lines a second; others are counted.")] = 100,
    trace: Annotated[bool, typer.Option("--trace", help="The frame of each record, and each field's way.")] = False,
    format: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
    allow_env: AllowEnv = None,
) -> None:
    """Show what passes through a running process: frames, records, dead letters, connections.

    It costs the process nothing while nobody looks; a slow terminal loses lines, which are counted, and holds up
    nothing. Where others can reach the port it needs K2_TAP_TOKEN on both sides.

    Example: k2conn tap NAME --symbols BTCUSD --where "to_number(record.quantity) > `10`" --trace
    """
    from k2conn.cli.tap import TapOptions, run

    raise typer.Exit(run(TapOptions(connector, at, streams, symbols, kinds, where, count, rate, trace, format)))


@command()
def drift(
    connector: Connector,
    recordings: Annotated[
        list[Path], typer.Argument(help="Recordings, or files of frames, one a line; the older ones first.")
    ],
    against: Annotated[
        list[Path] | None, typer.Option("--against", help="An older recording: what is usual.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="A line of JSON for each change.")] = False,
    allow_env: AllowEnv = None,
) -> None:
    """Tell how a venue's messages change in the course of recordings, as a running connector tells it at /drift.

    Exits with 1 where they do.

    Example: k2conn drift NAME monday --against friday
    """
    from k2conn.cli.drift import run

    raise typer.Exit(run(connector, recordings, against or (), json))


@command()
def dlq(
    action: Annotated[str, typer.Argument(metavar="list|show|replay", help="What to do.")],
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Files of dead letters, or folders with them (default: data).")
    ] = None,
    topics: Annotated[list[str] | None, typer.Option(help="Kafka topics or patterns instead (*.dlq).")] = None,
    connector: Annotated[
        list[str] | None, typer.Option("--connector", help="Only of this one; replay: its file, as often as needed.")
    ] = None,
    stream: Annotated[str | None, typer.Option(help="Only of this stream.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only with this reason, such as missing-field.")] = None,
    field: Annotated[str | None, typer.Option(help="Only of this field.")] = None,
    frame: Annotated[str | None, typer.Option(help="Only of this frame, by its frame_id.")] = None,
    publish: Annotated[
        bool, typer.Option("--publish/--dry-run", help="replay: send what is mended; else only say what would be.")
    ] = False,
    state: Annotated[
        Path | None, typer.Option(help="replay: where it is marked what was sent (K2_STATE_FOLDER, else state).")
    ] = None,
    sink: SinkName = None,
    sink_option: SinkOptions = None,
    folder: Folder = None,
    kafka: Kafka = None,
    registry: Registry = None,
    format: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
    log_level: Annotated[str, typer.Option(envvar="K2_LOG_LEVEL", help="debug, info, warning or error.")] = "warning",
    allow_env: AllowEnv = None,
) -> None:
    """Dead letters: list them by what is wrong, show one with its frame, map them again with today's connector file.

    replay maps each frame once, as it was received, and only its dead items; it sends the records to the sink, with the
    ids that they would have had, and marks the frame, so that another replay leaves it out. Without --publish it only
    says what would come. Exits with 65 where some stay dead.

    Example: k2conn dlq replay data --connector NAME.yaml --publish --kafka localhost:9092
    """
    from k2conn.cli.dlq import DlqOptions, run
    from k2conn.cli.run_options import RunOptions

    to = RunOptions(sink=sink, folder=folder, kafka=kafka, registry=registry, log_level=log_level,
                    sink_options=sink_option or ())
    raise typer.Exit(run(DlqOptions(
        action, paths or (), to, topics or (), connector or (), stream, reason, field, frame, state, publish, format,
    )))


@command()
def audit(
    connector: Connector,
    inputs: Annotated[list[str], typer.Argument(help="Avro files of trades and candles, or folders with them.")],
    intervals: Annotated[str | None, typer.Option("--intervals", help="Only these, comma-separated.")] = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="The trades are whole at both ends, too: compare the first and last spans.")
    ] = False,
    format: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
    allow_env: AllowEnv = None,
) -> None:
    """Prove that stored trades are complete: compare them with the venue's own stored candles.

    Prints each span that differs. Exits with 1 where there is one, or nothing to compare.

    Example: k2conn audit NAME data
    """
    from k2conn.cli.audit import run as compare

    raise typer.Exit(compare(connector, inputs, intervals, whole, format))


@command()
def candles(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(help="Avro files of trades, or folders with them; - (the default) for standard input."),
    ] = None,
    intervals: Annotated[str, typer.Option("--intervals", help="Comma-separated.")] = "1m,5m,15m,30m,1h,1d",
    delay: Annotated[str, typer.Option(help="How long after its end a candle is over, by the trades' time.")] = "2s",
    lateness: Annotated[str, typer.Option(help="How long after that trades still correct it.")] = "5m",
    empty: Annotated[str, typer.Option(help="Spans without trades: skip, or repeat the last price.")] = "skip",
    open: Annotated[
        str, typer.Option("--open", help="Candles that are not over at the end: drop, keep (as open) or close.")
    ] = "drop",
    topic: Annotated[str, typer.Option(help="Where they go.")] = "market.{asset_class}.{plural}.{exchange}",
    features: Annotated[
        str | None, typer.Option("--features", help="Make features of those of these intervals, too, such as 1m.")
    ] = None,
    sink: SinkName = None,
    sink_option: SinkOptions = None,
    folder: Folder = None,
    kafka: Kafka = None,
    registry: Registry = None,
    source: Annotated[str | None, typer.Option("--from", help="kafka: read trades from topics, for ever.")] = None,
    topics: Annotated[
        list[str] | None, typer.Option("--topics", help="With --from kafka: names or patterns, 'market.*.trades.*'.")
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="With --from kafka: the consumer group (default: k2conn-candles).")
    ] = None,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="With --from kafka: a new group reads all that is there.")
    ] = False,
    port: Annotated[str, typer.Option(help="With --from kafka: /health and /metrics; -1 for none.")] = "-1",
    summary: Annotated[Path | None, typer.Option(help="With --from kafka: write the final figures there.")] = None,
) -> None:
    """Make candles of trades, exactly, and write them to any sink.

    Reads what the file sink wrote, on standard input what the console sink prints, or topics (then it writes to topics,
    where no other sink is named). Exits with 65 where there are dead letters in files (trades that came too late).

    Example: k2conn candles data/market.crypto.trades.NAME --intervals 1m,1h --sink console
    """
    from k2conn.cli.candles import CandleOptions
    from k2conn.cli.candles import run as make

    options = CandleOptions(
        inputs or ["-"], intervals, delay, lateness, empty, open, topic, sink, sink_option or (), folder, kafka,
        registry, features,
    )
    if source is not None:
        from k2conn.cli.candles_of_topics import run as make_of_topics
        from k2conn.cli.run_options import RunOptions

        raise typer.Exit(make_of_topics(options, RunOptions(
            sink=sink, sink_options=sink_option or (), folder=folder, kafka=kafka, registry=registry, source=source,
            topics=topics or (), group=group, from_beginning=from_beginning, port=port, summary=summary,
        )))
    raise typer.Exit(make(options))


@command()
def serve(
    store: Annotated[str | None, typer.Option(help="postgres, lake, or files (the file sink's; default).")] = None,
    folder: Annotated[Path | None, typer.Option(help="Where those files are (default: data).")] = None,
    kafka: Annotated[str | None, typer.Option(help="Bootstrap servers: live records come from there.")] = None,
    registry: Registry = None,
    host: Annotated[str | None, typer.Option(help="Where to listen (127.0.0.1; elsewhere with K2_API_KEY).")] = None,
    port: Annotated[str | None, typer.Option(metavar="INTEGER", help="The port (8000); 0 for any.")] = None,
    log_level: Annotated[str, typer.Option(envvar="K2_LOG_LEVEL", help="debug, info, warning or error.")] = "info",
    daemon: Annotated[bool, typer.Option("--daemon", help="Log JSON, for containers.")] = False,
) -> None:
    """Serve records over HTTP: trades, quotes, candles, symbols, gaps, and a live stream.

    Needs k2conn[api]. Then: curl 'localhost:8000/v1/trades?symbol=BTCUSDT&side=buy&limit=5',
    curl -N 'localhost:8000/v1/stream?kind=trades', and /openapi.json. Further settings are K2_API_* (docs/api.md).

    Example: K2_POSTGRES_DSN=postgresql://k2@localhost/k2 k2conn serve --store postgres
    """
    signal.signal(signal.SIGTERM, _end_early)
    from k2conn.cli.serve import ServeOptions
    from k2conn.cli.serve import run as start

    raise typer.Exit(start(ServeOptions(host, port, store, folder, kafka, registry, log_level, daemon)))


@command()
def load(
    connector: Connector,
    files: Annotated[list[Path], typer.Argument(help="The files; .gz and .zst are decompressed.")],
    streams: Streams = None,
    sink: SinkName = None,
    sink_option: SinkOptions = None,
    folder: Folder = None,
    kafka: Kafka = None,
    registry: Registry = None,
    state: Annotated[
        Path | None, typer.Option(help="Where positions are kept (default: K2_STATE_FOLDER, or state).")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="From the beginning, whatever was loaded before.")] = False,
    summary: Annotated[Path | None, typer.Option(help="Write the figures to this JSON file.")] = None,
    no_progress: Annotated[bool, typer.Option("--no-progress", help="No progress bar.")] = False,
    log_level: Annotated[str, typer.Option(envvar="K2_LOG_LEVEL", help="debug, info, warning or error.")] = "info",
) -> None:
    """Load files of rows into Kafka, files or the console, each to its end.

    Goes on where it was stopped or killed. Rows that make no record are dead letters with file and line. Exits with 0
    where all is loaded, 65 where there are dead letters, 66 where a file cannot be read, 130 after Ctrl-C.

    Example: k2conn load NAME DATA/*.csv --folder out
    """
    signal.signal(signal.SIGTERM, _end_early)
    from k2conn.cli.load import LoadOptions
    from k2conn.cli.load import run as start
    from k2conn.cli.run_options import RunOptions

    to = RunOptions((connector,), None, streams, sink, folder, kafka, registry, summary=summary, log_level=log_level,
                    sink_options=sink_option or ())
    raise typer.Exit(start(LoadOptions(connector, files, to, state, again, not no_progress)))


@command()
def doctor(
    connectors: Running = None,
    symbols: Symbols = None,
    streams: Streams = None,
    intervals: Intervals = None,
    sink: SinkName = None,
    sink_option: SinkOptions = None,
    folder: Folder = None,
    kafka: Kafka = None,
    registry: Registry = None,
    host: Annotated[
        str, typer.Option(envvar="K2_METRICS_HOST", help="Where /metrics and /health would listen.")
    ] = "127.0.0.1",
    port: Port = "9091",
    format: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
    allow_env: AllowEnv = None,
) -> None:
    """Check all settings as a start does, and reach out to venues, broker and registry, without running.

    Subscribes to nothing, registers and writes nothing. Exits with 0 where `k2conn run` would start, 2 where a setting
    is wrong, 69 where somebody cannot be reached.

    Example: k2conn doctor NAME --kafka localhost:9092 --registry http://localhost:8081
    """
    from k2conn.cli.doctor import run as examine
    from k2conn.cli.run_options import RunOptions

    options = RunOptions(
        connectors or (), symbols, streams, sink, folder, kafka, registry, host=host, port=port,
        sink_options=sink_option or (), intervals=intervals,
    )
    raise typer.Exit(examine(options, format))


@command()
def status(
    host: Annotated[
        str, typer.Option(envvar="K2_METRICS_HOST", help="Where the running process listens.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="K2_METRICS_PORT", min=1, max=65535, help="Its port.")] = 9091,
    format: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
) -> None:
    """Ask a running process how it does: its counts, connections, silent symbols and sink.

    Exits with 0 where all is well, 1 where something is amiss, 69 where nobody answers.

    Example: k2conn status --port 9091 --format json
    """
    from k2conn.cli.status import run as show

    raise typer.Exit(show(host, port, format))


@command()
def test(
    connectors: Annotated[
        list[str] | None, typer.Argument(help="Connector files or shipped names; else all shipped ones.")
    ] = None,
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


@command("list")
def list_(
    format: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
) -> None:
    """List the shipped connectors.

    Example: k2conn list
    """
    from k2conn.cli.list import run as show

    raise typer.Exit(show(format))


@command()
def explain(
    connector: Connector,
    symbols: Annotated[str | None, typer.Option(help="Comma-separated; else the defaults.")] = None,
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
    symbols: Annotated[str | None, typer.Option(help="Comma-separated; else the defaults.")] = None,
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
def mock(
    connectors: Files,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to listen; 0 for any free port.")] = 0,
    rate: Annotated[float, typer.Option(min=0, help="Data frames a second for each stream and symbol.")] = 10.0,
    fresh: Annotated[
        bool, typer.Option("--fresh/--recorded", help="New times, ids and prices, or frames exactly as they are.")
    ] = True,
    frames: Annotated[
        list[Path] | None, typer.Option(help="Recorded frames, one a line, instead of those of the tests.")
    ] = None,
    frame_key: Annotated[
        str | None, typer.Option("--frame-key", help="Lines are JSON objects that hold the frame under this key.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Play recorded frames once, not over and over.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after so many frames of a stream and symbol.")] = None,
    duration: Annotated[str | None, typer.Option(help="Stop after this long, such as 30s.")] = None,
    symbols: Annotated[str | None, typer.Option(help="Further symbols the venue has, comma-separated.")] = None,
    refuse: Annotated[str | None, typer.Option(help="Symbols to refuse, comma-separated.")] = None,
    ping_every: Annotated[str | None, typer.Option(help="The venue's own pings, such as 10s.")] = None,
    close_after: Annotated[int | None, typer.Option(min=1, help="Close a connection after so many frames.")] = None,
    stall_after: Annotated[int | None, typer.Option(min=0, help="Send no more after so many frames.")] = None,
    duplicate_every: Annotated[int | None, typer.Option(min=1, help="Send each n-th frame twice.")] = None,
    garbage_every: Annotated[int | None, typer.Option(min=1, help="Send a broken frame after each n-th.")] = None,
    silent: Annotated[bool, typer.Option("--silent", help="Never acknowledge a subscription.")] = False,
    delay: Annotated[float, typer.Option(min=0, help="Seconds before each answer.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Another seed, other prices.")] = 0,
    allow_env: AllowEnv = None,
) -> None:
    """Play the venues of connectors on this machine: their protocol, and data from their tests or from recordings.

    Prints the variables that point `k2conn run` at it; ends with Ctrl-C.

    Example: k2conn mock NAME OTHER --port 9999 --rate 50
    """
    from k2conn.cli.mock import MockOptions
    from k2conn.cli.mock import run as serve
    from k2conn.cli.option_values import listed
    from k2conn.tools.mock.faults import Faults

    faults = Faults(
        refuse=frozenset(listed("--refuse", refuse or None)), silent=silent, close_after=close_after,
        stall_after=stall_after, duplicate_every=duplicate_every, garbage_every=garbage_every, delay=delay,
    )
    options = MockOptions(
        connectors, port, rate, fresh, frames or (), frame_key, once, limit, duration, symbols, ping_every, seed, faults
    )
    raise typer.Exit(serve(options))


@command()
def demo(
    duration: Annotated[str, typer.Option(help="How long, such as 15s.")] = "15s",
    rate: Annotated[float, typer.Option(min=0.1, help="Data frames a second for each stream and symbol.")] = 20.0,
    folder: Annotated[Path | None, typer.Option(help="Where the records go; else a new temporary folder.")] = None,
    connectors: Annotated[str | None, typer.Option(help="Comma-separated; else three well-known ones.")] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Lines instead of a live table.")] = False,
    section: Annotated[
        str, typer.Option(help="ingestion; or with the extra lake: storage, query (with a chart), or all.")
    ] = "ingestion",
    kafka: Annotated[
        str | None, typer.Option(help="By way of these bootstrap servers, in topics that begin with demo.")
    ] = None,
    registry: Annotated[str | None, typer.Option(help="The schema registry's address, with --kafka.")] = None,
    allow_env: AllowEnv = None,
) -> None:
    """See it work, with no network and no Kafka: mock exchanges, real WebSockets, Avro files, a live table.

    Example: k2conn demo --duration 10s --rate 100
    """
    from k2conn.cli.demo import DemoOptions
    from k2conn.cli.demo import run as show

    raise typer.Exit(show(DemoOptions(duration, rate, folder, connectors, plain, section, kafka, registry)))


@command()
def certify(
    connectors: Files,
    streams: Streams = None,
    intervals: Intervals = None,
    duration: Annotated[str, typer.Option(help="How long, such as 60s; longer where the faults need it.")] = "60s",
    rate: Annotated[float, typer.Option(min=1, help="Data frames a second for each stream and symbol.")] = 50.0,
    sink: Annotated[str | None, typer.Option(help="file (default) or kafka.")] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where the file sink writes; else a folder that goes away.")
    ] = None,
    kafka: Annotated[
        str | None, typer.Option(help="Kafka's bootstrap servers; then it is put to the test, too.")
    ] = None,
    registry: Annotated[str | None, typer.Option(help="The schema registry's address.")] = None,
    faults: Annotated[str, typer.Option(help="all, or the names of some, comma-separated.")] = "all",
    report: Annotated[
        list[Path] | None, typer.Option("--report", help="Also write the result to this .txt, .json or .html file.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed, other prices.")] = 0,
    broker_pid: Annotated[
        int | None, typer.Option("--broker-pid", help="A broker's process on this machine that may be paused.")
    ] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "error",
    allow_env: AllowEnv = None,
) -> None:
    """Prove that a connector loses nothing: a mock of its venue misbehaves, then every id is read back.

    For each stream and symbol: sent = published + deduplicated + filtered + quarantined + lost, with lost = 0 and
    every id once. Exits with 1 where that does not hold.

    Example: k2conn certify NAME --report proof.html
    """
    from k2conn.cli.certify import CertifyOptions
    from k2conn.cli.certify import run as prove

    options = CertifyOptions(
        connectors, duration, rate, sink, folder, kafka, registry, faults, report or (), seed, broker_pid, log_level,
        streams, intervals,
    )
    raise typer.Exit(prove(options))


@command()
def new(
    name: Annotated[str, typer.Argument(help="The connector's name: small letters, digits, _ and -.")],
    url: Annotated[str, typer.Option(help="Where the exchange's WebSocket is, such as wss://ws.example.com.")],
    sample: Annotated[str, typer.Option(help="Frames, one a line, or a recording; - for standard input.")],
    frame_key: Annotated[
        str | None, typer.Option("--frame-key", help="Lines are JSON objects that hold the frame under this key.")
    ] = None,
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
def db(action: Annotated[str, typer.Argument(metavar="status|migrate", help="Look, or make what is missing.")]) -> None:
    """Look at the database of the postgres sink (K2_POSTGRES_*), or make its tables and apply its migrations.

    status exits with 1 where something is missing. A start of `k2conn run` migrates by itself, unless
    K2_POSTGRES_MIGRATE=false says that this command does.

    Example: K2_POSTGRES_DSN=postgresql://k2@localhost/k2 k2conn db migrate
    """
    from k2conn.cli.db import run as look

    raise typer.Exit(look(action))


@command()
def lake(
    action: Annotated[str, typer.Argument(metavar="stats|compact|expire|clean", help="What to do.")],
    table: Annotated[
        list[str] | None, typer.Option("--table", help="trades, quotes, ...; as often as needed; else all.")
    ] = None,
    keep: Annotated[int, typer.Option(min=1, help="expire: so many of the latest snapshots stay.")] = 10,
    older_than: Annotated[
        str | None, typer.Option("--older-than", help="expire: snapshots (1h), clean: files (3d) of that age.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
    format: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
) -> None:
    """Look at the lake of the iceberg sink (K2_LAKE_*), or keep it in order, beside those who write and read it.

    stats counts rows, files and snapshots. compact makes small files into large ones. expire lets old snapshots go.
    clean removes files that no snapshot needs: those of expired snapshots, and of commits that never were.

    Example: k2conn lake compact --table trades && k2conn lake expire && k2conn lake clean --older-than 3d --dry-run
    """
    from k2conn.cli.lake import LakeOptions, run

    raise typer.Exit(run(LakeOptions(action, tuple(table or ()), keep, older_than, dry_run, format)))


@command()
def query(
    sql: Annotated[str, typer.Argument(help="A SELECT, or trades, quotes, candles for the newest of them.")] = "",
    symbol: Annotated[str, typer.Option(help="Only of this symbol, in the shared spelling: BTCUSDT.")] = "",
    exchange: Annotated[str, typer.Option(help="Only of this exchange, in capitals.")] = "",
    side: Annotated[str, typer.Option(help="Only of this side: BUY, SELL, ...")] = "",
    currency: Annotated[str, typer.Option(help="Only in this currency: USD.")] = "",
    interval: Annotated[str, typer.Option(help="Only candles of this length: 1m.")] = "",
    since: Annotated[str | None, typer.Option(help="From so long ago (15m), or from a time with its zone.")] = None,
    until: Annotated[str | None, typer.Option(help="Before this moment, said likewise.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many rows (20 without SQL).")] = None,
    format: Annotated[str, typer.Option("--format", help="table, csv, json (one object a line) or parquet.")] = "table",
    output: Annotated[Path | None, typer.Option(help="The file to write; else the screen.")] = None,
    data: Annotated[
        list[Path] | None, typer.Option(help="Avro or Parquet files, or their folder, instead of the lake.")
    ] = None,
    allow: Annotated[list[Path] | None, typer.Option(help="A folder that the SQL may read besides.")] = None,
) -> None:
    """Ask the lake of the iceberg sink (K2_LAKE_*), or the file sink's files, by SQL (DuckDB's).

    Tables are trades, quotes, candles, gaps. Options restrict them before the SQL sees them. It only reads, and only
    the lake. Decimals are exact, in JSON and CSV as text.

    Example: k2conn query "SELECT symbol, sum(quantity) FROM trades GROUP BY symbol" --symbol BTCUSD --since 1h
    """
    from k2conn.cli.query import QueryOptions, run

    options = QueryOptions(
        sql, symbol, exchange, side, currency, interval, since, until, limit, format, output, tuple(data or ()),
        tuple(allow or ()),
    )
    raise typer.Exit(run(options))


@command()
def docs(
    connectors: Annotated[
        list[str] | None, typer.Argument(help="Connector files or shipped names; else all shipped ones.")
    ] = None,
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
