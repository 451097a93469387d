"""What becomes of records: candles, audits, files, databases, the lake, HTTP."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer

from k2conn.cli.commands.options import (
    AllowEnv,
    Connector,
    Folder,
    Format,
    FromBeginning,
    Kafka,
    LogLevel,
    Registry,
    SinkName,
    SinkOptions,
    Streams,
    end_early,
)
from k2conn.cli.commands.registry import command
from k2conn.cli.completion import tables, words


@command()
def audit(
    connector: Connector,
    inputs: Annotated[list[str], typer.Argument(help="Avro files of trades and candles, or folders with them.")],
    intervals: Annotated[str | None, typer.Option("--intervals", help="Only these, comma-separated.")] = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="The trades are whole at both ends, too: compare the first and last spans.")
    ] = False,
    format: Format = "text",
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
    from_beginning: FromBeginning = False,
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
    log_level: LogLevel = "info",
) -> None:
    """Load files of rows into Kafka, files or the console, each to its end.

    Goes on where it was stopped or killed. Rows that make no record are dead letters with file and line. Exits with 0
    where all is loaded, 65 where there are dead letters, 66 where a file cannot be read, 130 after Ctrl-C.

    Example: k2conn load NAME DATA/*.csv --folder out
    """
    signal.signal(signal.SIGTERM, end_early)
    from k2conn.cli.load import LoadOptions
    from k2conn.cli.load import run as start
    from k2conn.cli.run_options import RunOptions

    to = RunOptions((connector,), None, streams, sink, folder, kafka, registry, summary=summary, log_level=log_level,
                    sink_options=sink_option or ())
    raise typer.Exit(start(LoadOptions(connector, files, to, state, again, not no_progress)))


@command()
def serve(
    store: Annotated[str | None, typer.Option(help="postgres, lake, or files (the file sink's; default).")] = None,
    folder: Annotated[Path | None, typer.Option(help="Where those files are (default: data).")] = None,
    kafka: Annotated[str | None, typer.Option(help="Bootstrap servers: live records come from there.")] = None,
    registry: Registry = None,
    host: Annotated[str | None, typer.Option(help="Where to listen (127.0.0.1; elsewhere with K2_API_KEY).")] = None,
    port: Annotated[str | None, typer.Option(metavar="INTEGER", help="The port (8000); 0 for any.")] = None,
    log_level: LogLevel = "info",
    daemon: Annotated[bool, typer.Option("--daemon", help="Log JSON, for containers.")] = False,
) -> None:
    """Serve records over HTTP: trades, quotes, candles, symbols, gaps, and a live stream.

    Needs k2conn[api]. Then: curl 'localhost:8000/v1/trades?symbol=BTCUSDT&side=buy&limit=5',
    curl -N 'localhost:8000/v1/stream?kind=trades', and /openapi.json. Further settings are K2_API_* (docs/api.md).

    Example: K2_POSTGRES_DSN=postgresql://k2@localhost/k2 k2conn serve --store postgres
    """
    signal.signal(signal.SIGTERM, end_early)
    from k2conn.cli.serve import ServeOptions
    from k2conn.cli.serve import run as start

    raise typer.Exit(start(ServeOptions(host, port, store, folder, kafka, registry, log_level, daemon)))


@command()
def query(
    sql: Annotated[
        str, typer.Argument(autocompletion=tables, help="A SELECT, or trades, quotes, candles for the newest of them.")
    ] = "",
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
def lake(
    action: Annotated[
        str,
        typer.Argument(
            metavar="stats|compact|expire|clean", autocompletion=words("stats", "compact", "expire", "clean"),
            help="What to do.",
        ),
    ],
    table: Annotated[
        list[str] | None,
        typer.Option("--table", autocompletion=tables, help="trades, quotes, ...; as often as needed; else all."),
    ] = None,
    keep: Annotated[int, typer.Option(min=1, help="expire: so many of the latest snapshots stay.")] = 10,
    older_than: Annotated[
        str | None, typer.Option("--older-than", help="expire: snapshots (1h), clean: files (3d) of that age.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
    format: Format = "text",
) -> None:
    """Look at the lake of the iceberg sink (K2_LAKE_*), or keep it in order, beside those who write and read it.

    stats counts rows, files and snapshots. compact makes small files into large ones. expire lets old snapshots go.
    clean removes files that no snapshot needs: those of expired snapshots, and of commits that never were.

    Example: k2conn lake compact --table trades && k2conn lake expire && k2conn lake clean --older-than 3d --dry-run
    """
    from k2conn.cli.lake import LakeOptions, run

    raise typer.Exit(run(LakeOptions(action, tuple(table or ()), keep, older_than, dry_run, format)))


@command()
def db(
    action: Annotated[
        str,
        typer.Argument(
            metavar="status|migrate", autocompletion=words("status", "migrate"), help="Look, or make what is missing."
        ),
    ],
) -> None:
    """Look at the database of the postgres sink (K2_POSTGRES_*), or make its tables and apply its migrations.

    status exits with 1 where something is missing. A start of `k2conn run` migrates by itself, unless
    K2_POSTGRES_MIGRATE=false says that this command does.

    Example: K2_POSTGRES_DSN=postgresql://k2@localhost/k2 k2conn db migrate
    """
    from k2conn.cli.db import run as look

    raise typer.Exit(look(action))
