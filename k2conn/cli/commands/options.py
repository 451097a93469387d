"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from k2conn.cli.completion import commands, connectors, sinks, words

FORMATS = words("text", "json")
Connector = Annotated[
    str, typer.Argument(autocompletion=connectors, help="A connector file, or the name of a shipped one.")
]
Files = Annotated[
    list[str], typer.Argument(autocompletion=connectors, help="Connector files, or names of shipped ones.")
]
FilesOrNone = Annotated[
    list[str] | None, typer.Argument(autocompletion=connectors, help="Connector files, or names of shipped ones.")
]
Symbols = Annotated[
    list[str] | None, typer.Option(help="As the venue writes them: A,B or 'A B', or once for each.")
]
SymbolList = Annotated[str | None, typer.Option(help="Comma-separated; else the defaults.")]
Chosen = Annotated[
    list[str] | None,
    typer.Argument(autocompletion=connectors, help="Connector files or shipped names; else all shipped ones."),
]
Host = Annotated[str, typer.Option(envvar="K2_METRICS_HOST", help="Where /metrics and /health listen.")]
Port = Annotated[
    str, typer.Option(envvar="K2_METRICS_PORT", metavar="INTEGER", help="Their port; 0 for any, -1 for none.")
]
Streams = Annotated[str | None, typer.Option("--streams", help="Only these streams, comma-separated.")]
Intervals = Annotated[
    str | None, typer.Option("--intervals", help="Of streams with intervals these, such as 1m,1h; else the first.")
]
Running = Annotated[
    list[str] | None,
    typer.Argument(
        autocompletion=connectors, help="Connector files or shipped names; else what the environment enables."
    ),
]
SinkName = Annotated[
    str | None,
    typer.Option(
        autocompletion=sinks, help="kafka, postgres, questdb, iceberg, file, console, or one of an installed package."
    ),
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
LogLevel = Annotated[
    str,
    typer.Option(
        envvar="K2_LOG_LEVEL", autocompletion=words("debug", "info", "warning", "error"),
        help="debug, info, warning or error.",
    ),
]
Daemon = Annotated[bool, typer.Option("--daemon", help="Print JSON and nothing else, for containers.")]
Format = Annotated[str, typer.Option("--format", autocompletion=FORMATS, help="text or json.")]
Duration = Annotated[str | None, typer.Option(help="Stop after this long, such as 30s or 30.")]
Summary = Annotated[Path | None, typer.Option(help="Write the final ledger to this JSON file.")]
FrameKey = Annotated[
    str | None, typer.Option("--frame-key", help="Lines are JSON objects that hold the frame under this key.")
]
FromBeginning = Annotated[
    bool, typer.Option("--from-beginning", help="With --from kafka: a new group reads all that is there.")
]
CommandName = Annotated[
    str | None,
    typer.Option("--command", autocompletion=commands, help="Only what this command reads, such as run."),
]
Seed = Annotated[int, typer.Option(help="Another seed, other prices.")]


def end_early(number: int, frame: object) -> None:
    """SIGTERM before there is an event loop: nothing runs yet, so there is nothing to stop."""
    raise SystemExit(0)
