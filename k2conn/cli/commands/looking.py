"""See what passes, what could not be mapped, and what has changed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from k2conn.cli.commands.options import (
    AllowEnv,
    Connector,
    Folder,
    Format,
    Kafka,
    LogLevel,
    Registry,
    SinkName,
    SinkOptions,
    Streams,
)
from k2conn.cli.commands.registry import command
from k2conn.cli.completion import connectors, words


@command()
def tap(
    connector: Annotated[
        str | None,
        typer.Argument(
            autocompletion=connectors, help="Only of this one; --trace: its file, where it is no shipped one."
        ),
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
    format: Format = "text",
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
def group(
    name: Annotated[str, typer.Argument(help="The group, as `k2conn run --group` names it.")],
    kafka: Kafka = None,
    format: Format = "text",
    reload: Annotated[bool, typer.Option("--reload", help="Tell all members to read their files again.")] = False,
    remove: Annotated[
        str | None, typer.Option("--remove", help="Take out a member that is gone: its slots are given away at once.")
    ] = None,
) -> None:
    """Show the members of a group, and who has which slots: by what they say, heard for two seconds.

    Ends with 0 where every slot has an owner that carries it, and with 1 where not.

    Example: k2conn group NAME --kafka localhost:9092
    """
    from k2conn.cli.group import run

    raise typer.Exit(run(name, kafka, format, reload, remove))


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
def anomalies(
    connector: Connector,
    recordings: Annotated[list[Path], typer.Argument(help="Recordings of `k2conn record`; the older ones first.")],
    json: Annotated[bool, typer.Option("--json", help="A line of JSON for each anomaly.")] = False,
    allow_env: AllowEnv = None,
) -> None:
    """Tell what is odd about the records of recordings, as a running connector tells it at /anomalies.

    K2_ANOMALY_THRESHOLDS and K2_<CONNECTOR>_ANOMALY_THRESHOLDS hold here, too. Exits with 1 where something is odd.

    Example: k2conn anomalies NAME monday
    """
    from k2conn.cli.anomalies import run

    raise typer.Exit(run(connector, recordings, json))


@command()
def dlq(
    action: Annotated[
        str,
        typer.Argument(
            metavar="list|show|replay", autocompletion=words("list", "show", "replay"), help="What to do."
        ),
    ],
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Files of dead letters, or folders with them (default: data).")
    ] = None,
    topics: Annotated[list[str] | None, typer.Option(help="Kafka topics or patterns instead (*.dlq).")] = None,
    connector: Annotated[
        list[str] | None,
        typer.Option(
            "--connector", autocompletion=connectors, help="Only of this one; replay: its file, as often as needed."
        ),
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
    format: Format = "text",
    log_level: LogLevel = "warning",
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
