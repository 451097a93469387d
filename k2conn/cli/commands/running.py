"""Run connectors, and look whether they do well."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer

from k2conn.cli.commands.options import (
    AllowEnv,
    Daemon,
    Duration,
    Files,
    FilesOrNone,
    Folder,
    Format,
    FrameKey,
    FromBeginning,
    Host,
    Intervals,
    Kafka,
    LogLevel,
    Port,
    Registry,
    Running,
    Seed,
    SinkName,
    SinkOptions,
    Streams,
    Summary,
    Symbols,
    end_early,
)
from k2conn.cli.commands.registry import command
from k2conn.cli.completion import connectors
from k2conn.errors import SettingsError


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
    anomalies: Annotated[
        str | None, typer.Option("--anomalies", help="What becomes of odd records: off, watch or publish.")
    ] = None,
    audit: Annotated[
        bool | None, typer.Option("--audit/--no-audit", help="Compare trades with the venue's candles, where both run.")
    ] = None,
    sink: SinkName = None,
    sink_option: SinkOptions = None,
    folder: Folder = None,
    kafka: Kafka = None,
    registry: Registry = None,
    duration: Duration = None,
    max_records: Annotated[int | None, typer.Option(min=1, help="Stop after exactly so many records.")] = None,
    summary: Summary = None,
    host: Host = "127.0.0.1",
    port: Port = "9091",
    log_level: LogLevel = "info",
    daemon: Daemon = False,
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
    group: Annotated[
        str | None, typer.Option(help="Share the symbols with this group's processes (K2_GROUP); of --from its group.")
    ] = None,
    from_beginning: FromBeginning = False,
    record: Annotated[
        Path | None, typer.Option(help="Record all frames into this folder, beside the sink (K2_RECORD_FOLDER).")
    ] = None,
    board: Annotated[
        bool, typer.Option("--board/--no-board", help="On a terminal: show a board (the extra top) instead of a log.")
    ] = True,
    progress: Annotated[
        str, typer.Option(envvar="K2_PROGRESS", help="A line each 10s, or 100 (records), or 100,10s; off: none.")
    ] = "10s",
    allow_env: AllowEnv = None,
) -> None:
    """Run connectors: live streams into Kafka, files or the console. Or topics into tables.

    Without a Kafka address (flag or K2_KAFKA_BOOTSTRAP_SERVERS) records go to Avro files in ./data. With --from kafka
    records are read from topics, and go into any other sink. What runs is shown to browsers at the port (--port):
    K2_CONSOLE=false shows nothing, K2_CONSOLE_TOKEN is asked for where others can reach it (--host).

    Example: k2conn run NAME --symbols BTC/USD --kafka localhost:9092 --registry http://localhost:8081
    """
    signal.signal(signal.SIGTERM, end_early)  # before the imports, which take longer than anything else here
    from k2conn.cli.run import run as start
    from k2conn.cli.run_options import RunOptions

    options = RunOptions(
        connectors or (), symbols, streams, sink, folder, kafka, registry, duration, max_records, summary, host, port,
        log_level, daemon, watch, workers, sink_option or (), intervals, candles, audit, source, topics or (), group,
        from_beginning, features, anomalies, progress, board, record, shares=True,
    )
    raise typer.Exit(start(options))


@command()
def record(
    connectors: Running = None,
    to: Annotated[Path, typer.Option("--to", help="The folder; it is made for this user alone.")] = Path("recording"),
    symbols: Symbols = None,
    streams: Streams = None,
    intervals: Intervals = None,
    duration: Duration = None,
    max_records: Annotated[int | None, typer.Option(min=1, help="Stop after so many records.")] = None,
    host: Host = "127.0.0.1",
    port: Port = "-1",
    log_level: LogLevel = "info",
    daemon: Daemon = False,
    allow_env: AllowEnv = None,
) -> None:
    """Record the frames of connectors, and publish nothing: compressed JSON lines, bounded on disk.

    Files are rotated by size and age, and the oldest go (K2_RECORD_FILE_BYTES, K2_RECORD_FILE_SECONDS,
    K2_RECORD_MAX_BYTES). Known secrets are left out. `k2conn run --record FOLDER` records beside a sink.

    Example: k2conn record NAME --to recording --symbols BTC/USD --duration 10m
    """
    signal.signal(signal.SIGTERM, end_early)
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
        typer.Option(
            "--connector", autocompletion=connectors,
            help="A connector file or shipped name; as often as needed; else all recorded.",
        ),
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
    summary: Summary = None,
    log_level: LogLevel = "warning",
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
    format: Format = "text",
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
    format: Format = "text",
) -> None:
    """Ask a running process how it does: its counts, connections, silent symbols and sink.

    Exits with 0 where all is well, 1 where something is amiss, 69 where nobody answers.

    Example: k2conn status --port 9091 --format json
    """
    from k2conn.cli.status import run as show

    raise typer.Exit(show(host, port, format))


@command()
def top(
    at: Annotated[
        str | None, typer.Option("--at", help="Its address; else where K2_METRICS_HOST and K2_METRICS_PORT say.")
    ] = None,
    host: Annotated[
        str, typer.Option(envvar="K2_METRICS_HOST", help="Where the running process listens.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="K2_METRICS_PORT", min=1, max=65535, help="Its port.")] = 9091,
) -> None:
    """Watch a running process: connectors, streams, symbols, their rates and gaps, and what passes.

    Needs the extra top (pip install 'k2conn[top]'), and a terminal of any kind; ? shows the keys. Where the process is
    away it says so, and tries again. Raw frames need K2_TAP_TOKEN where others can reach the port.

    Example: k2conn top --at http://localhost:9091
    """
    from k2conn.cli.top import run as watch

    raise typer.Exit(watch(at or f"http://{f'[{host}]' if ':' in host else host}:{port}"))


@command()
def certify(
    connectors: FilesOrNone = None,
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
    seed: Seed = 0,
    broker_pid: Annotated[
        int | None, typer.Option("--broker-pid", help="A broker's process on this machine that may be paused.")
    ] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "error",
    recorded: Annotated[list[Path] | None, typer.Option(
        "--recorded", help="A recording (or frames, one a line) whose frames the mock sends, with new ids and times."
    )] = None,
    at_once: Annotated[
        int | None, typer.Option("--at-once", min=1, help="Of several connectors so many at a time; else all.")
    ] = None,
    exactly_once: Annotated[bool, typer.Option(
        "--exactly-once", help="Prove that of a group: processes are killed, frozen, restarted and cut off at random."
    )] = False,
    members: Annotated[int, typer.Option(help="Processes of that group.")] = 3,
    instruments: Annotated[int, typer.Option(min=1, help="Symbols that they share.")] = 24,
    slots: Annotated[int, typer.Option(min=1, max=4096, help="Slots that these fall into.")] = 12,
    times: Annotated[int, typer.Option(min=0, help="Faults within the duration.")] = 12,
    allow_env: AllowEnv = None,
) -> None:
    """Prove that a connector loses nothing: a mock of its venue misbehaves, then every id is read back.

    For each stream and symbol: sent = published + deduplicated + filtered + quarantined + lost, with lost = 0 and
    every id once. Exits with 1 where that does not hold. The name all is every connector that ships. Keys are not
    needed: what is not set is what the file's tests say.

    All that ship, four at a time: k2conn certify all --at-once 4 --duration 15s --rate 20 --report proof.json

    Exactly once, by a group of processes and a venue of its own: k2conn certify --exactly-once --kafka localhost:9092

    Example: k2conn certify NAME --report proof.html
    """
    if exactly_once:
        if connectors:
            raise SettingsError("--exactly-once has a venue and a connector of its own: leave the names out")
        from k2conn.cli.certify_group import GroupProofOptions
        from k2conn.cli.certify_group import run as prove_group

        raise typer.Exit(prove_group(GroupProofOptions(
            duration, rate, kafka, registry, faults, times, members, instruments, slots, seed, folder,
            tuple(report or ()), log_level,
        )))
    if not connectors:
        raise SettingsError("name a connector, a file of one, or all")
    from k2conn.cli.certify import CertifyOptions
    from k2conn.cli.certify import run as prove

    options = CertifyOptions(
        connectors, duration, rate, sink, folder, kafka, registry, faults, report or (), seed, broker_pid, log_level,
        streams, intervals, recorded or (), at_once,
    )
    raise typer.Exit(prove(options))


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
    frame_key: FrameKey = None,
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
    seed: Seed = 0,
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
