"""`k2conn query`: SQL over the lake, or over files, for people and programs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

from k2conn.cli.lake import lake_settings
from k2conn.cli.messages import show
from k2conn.cli.option_values import lasting
from k2conn.cli.screen import Column, screen, table
from k2conn.clock import wall_us
from k2conn.errors import SettingsError, known
from k2conn.lake.engine import SqlEngine, quoted, quoted_text
from k2conn.lake.plain_files import files_as_tables, found_files
from k2conn.lake.reader import LakeReader
from k2conn.lake.result import WRITERS, cell, plain_rows, write_parquet
from k2conn.lake.selection import Selection
from k2conn.lake.tables import Shape, known_shapes

FORMATS = ("table", *sorted(WRITERS), "parquet")
SHOWN = 20
"""Rows of a record type that are shown where no limit is said."""
INTERRUPTED = 130
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class QueryOptions:
    """The command's options."""

    sql: str = ""
    symbol: str = ""
    exchange: str = ""
    side: str = ""
    currency: str = ""
    interval: str = ""
    since: str | None = None
    until: str | None = None
    limit: int | None = None
    format: str = "table"
    output: Path | None = None
    data: Sequence[Path] = ()
    allow: Sequence[Path] = ()


def run(options: QueryOptions) -> int:
    """Answers; 130 where Ctrl-C ends it."""
    if options.format not in FORMATS:
        raise SettingsError(f"--format {options.format}{known(options.format, FORMATS)}")
    if options.format == "parquet" and options.output is None:
        raise SettingsError("--format parquet needs --output FILE")
    chosen = Selection(
        symbol=options.symbol, exchange=options.exchange, side=options.side.upper(), currency=options.currency,
        interval=options.interval, since=moment("--since", options.since), until=moment("--until", options.until),
        limit=options.limit,
    )
    try:
        _write(_answer(options, chosen), options)
    except KeyboardInterrupt:
        show("interrupted", error=True)
        return INTERRUPTED
    return 0


def moment(option: str, text: str | None) -> int | None:
    """Microseconds since 1970 of a time with its zone, or of so long ago (``15m``). SettingsError names the option."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        try:
            back = lasting(option, text)
        except SettingsError:
            back = None
        if back is None:
            raise SettingsError(f"{option} {text[:40]}: say how long ago (15m, 2d), or a time with its zone "
                                "(2026-01-02T03:04:05Z)") from None
        return wall_us() - int(back * 1_000_000)
    if found.tzinfo is None:
        raise SettingsError(f"{option} {text[:40]}: say the zone, too: {text[:40]}Z is UTC")
    return (found - _EPOCH) // timedelta(microseconds=1)


def _answer(options: QueryOptions, chosen: Selection) -> Any:
    word = options.sql.strip() or "trades"
    plain = word.isidentifier()  # a record type's name, and no statement
    if plain and not options.data:
        return LakeReader(lake_settings()).records(word, replace(chosen, limit=chosen.limit or SHOWN))
    with SqlEngine() as engine:
        if options.data:
            shapes = _files(engine, options, chosen)
            folders = [path.absolute() for path in options.data]
        else:
            reader = LakeReader(lake_settings())
            folders = reader.tables(engine, chosen)
            shapes = {kind: state.shape for kind, state in reader.kinds.items()}
        engine.lock([*folders, *(path.absolute() for path in options.allow)],
                    [str(path) for path in folders if path.is_file()])
        if plain:
            if word not in shapes:
                raise SettingsError(f"there are no {word} in it{known(word, shapes)}")
            time = quoted(shapes[word].time)
            return engine.read(f"SELECT * FROM {quoted(word)} ORDER BY {time} DESC, message_id DESC",
                               chosen.limit or SHOWN)
        return engine.read(options.sql, chosen.limit)


def _files(engine: SqlEngine, options: QueryOptions, chosen: Selection) -> dict[str, Shape]:
    """Makes files known; the options for symbols and times hold for them, too."""
    shapes = files_as_tables(engine, found_files(options.data), known_shapes(lake_settings()).values())
    for kind, shape in shapes.items():
        parts = [f"{quoted(name)} = {quoted_text(text)}" for name, text in chosen.texts.items()
                 if any(field.name == name for field in shape.fields)]
        if chosen.since is not None:
            parts.append(f"{quoted(shape.time)} >= make_timestamptz({chosen.since:d})")
        if chosen.until is not None:
            parts.append(f"{quoted(shape.time)} < make_timestamptz({chosen.until:d})")
        if parts:
            engine.narrow(kind, " AND ".join(parts))
    return shapes


def _write(found: Any, options: QueryOptions) -> None:
    if options.format == "parquet":
        assert options.output is not None
        write_parquet(found, options.output)
        return
    opened = nullcontext(sys.stdout) if options.output is None else options.output.open("w", encoding="utf-8")
    with opened as to:
        if options.format == "table":
            _table(found, to)
        else:
            WRITERS[options.format](found, to)


def _table(found: Any, to: TextIO) -> None:
    console = screen(to)
    last = ("vendor_data", "platform_sequence", "ingestion_timestamp", "message_id", "trade_conditions", "asset_class")
    columns = [Column(name, leaves=10 - last.index(name) if name in last else 1 if at else 0)
               for at, name in enumerate(found.column_names)]
    console.print(table(columns, [[cell(value) for value in row.values()] for row in plain_rows(found)], console.width))
    show(f"{len(found):,} row{'' if len(found) == 1 else 's'}", error=True)
