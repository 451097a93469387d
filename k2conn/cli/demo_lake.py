"""The later parts of `k2conn demo`: what the lake has, questions in SQL, and a chart of their answer."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from k2conn.charts import Bar, as_svg, in_terminal
from k2conn.cli.hints import program
from k2conn.cli.lake import show_stats
from k2conn.cli.messages import show
from k2conn.cli.screen import Column, screen, table
from k2conn.errors import SettingsError
from k2conn.files import write_whole
from k2conn.lake.catalog import installed
from k2conn.lake.maintenance import Lake
from k2conn.lake.reader import LakeReader
from k2conn.lake.result import cell, plain, plain_rows
from k2conn.lake.settings import LakeSettings

COMMIT_MS = 1000.0
"""A commit every second: the demo is over before the usual three seconds have come five times."""
CHART = "chart.svg"
_CANDLES = """\
SELECT strftime(time_bucket(INTERVAL 1 SECOND, timestamp), '%H:%M:%S')
           AS second,
       arg_min(price, (timestamp, message_id)) AS open,
       max(price) AS high, min(price) AS low,
       arg_max(price, (timestamp, message_id)) AS close,
       sum(quantity) AS volume, count(*) AS trades
FROM trades WHERE exchange = '{exchange}' AND symbol = '{symbol}'
GROUP BY time_bucket(INTERVAL 1 SECOND, timestamp)
ORDER BY max(timestamp) DESC LIMIT 60"""
_MOST = "SELECT exchange, symbol, count(*) AS n FROM trades GROUP BY ALL ORDER BY n DESC, 1, 2 LIMIT 1"


@dataclass(frozen=True, slots=True)
class Question:
    """A question of the demo and its SQL over these tables."""

    text: str
    sql: str
    kinds: tuple[str, ...]


QUESTIONS = (
    Question("What was traded, by exchange and symbol?", """\
SELECT exchange, symbol, count(*) AS trades, sum(quantity) AS quantity,
       min(price) AS low, max(price) AS high
FROM trades GROUP BY ALL ORDER BY trades DESC, exchange, symbol""", ("trades",)),
    Question("Who was the aggressor?", """\
SELECT side, currency, count(*) AS trades FROM trades
GROUP BY ALL ORDER BY trades DESC, side, currency""",
             ("trades",)),
    Question("How far apart were bid and ask, in basis points of the bid?", """\
SELECT exchange, symbol, count(*) AS quotes,
       round(avg((ask_price - bid_price) / bid_price * 10000), 2) AS spread
FROM quotes WHERE bid_price > 0 GROUP BY ALL ORDER BY exchange, symbol""", ("quotes",)),
)


def lake_in(folder: Path) -> LakeSettings:
    """The demo's lake: tables and their catalog in a folder, and nothing else. SettingsError without its extra."""
    installed()
    return LakeSettings(folder=folder / "lake", commit_ms=COMMIT_MS)


def storage(settings: LakeSettings, published: int | None) -> bool:
    """Says what the lake has; whether it is all that was ``published`` (None: nobody knows how much that was)."""
    found = Lake(settings).stats()
    show("", f"An Apache Iceberg lake in {settings.folder}: Parquet files, and a SQLite catalog that names them.")
    show_stats(found)
    rows = sum(one.rows for one in found)
    if published is None:
        return True
    show("", f"{published:,} records were published, {rows:,} rows are in the tables.")
    return rows == published


def queries(settings: LakeSettings, folder: Path) -> None:
    """Asks the questions, and draws the answer to the last one. SettingsError where nothing was traded."""
    reader = LakeReader(settings)
    for question in QUESTIONS:
        if all(kind in reader.kinds for kind in question.kinds):
            show("", question.text, "", *_indented(question.sql), "")
            _shown(reader.rows(question.sql, question.kinds))
    _chart(reader, settings, folder)


def _chart(reader: LakeReader, settings: LakeSettings, folder: Path) -> None:
    most = reader.rows(_MOST, ["trades"]).to_pylist()
    if not most:
        raise SettingsError(f"nothing was traded in {settings.folder}")
    sql = _CANDLES.format(**{name: str(most[0][name]).replace("'", "''") for name in ("exchange", "symbol")})
    name = f"{most[0]['exchange']} {most[0]['symbol']}"
    show("", f"How did the price of {name} go? Candles of a second, by SQL:", "", *_indented(sql), "")
    bars = [_bar(row) for row in reversed(reader.rows(sql, ["trades"]).to_pylist())]
    show(*in_terminal(bars, min(80, screen().width), title=f"{name} (hollow: rising, filled: falling)",
                      encoding=sys.stdout.encoding or "ascii"))
    picture = folder / CHART
    write_whole(picture, as_svg(bars, name, "candles of one second, from trades of a simulated exchange").encode())
    show("", f"The same as a picture: {picture}")


def _bar(row: dict[str, Any]) -> Bar:
    return Bar(row["second"], row["open"], row["high"], row["low"], row["close"], row["volume"])


def _indented(sql: str) -> Iterator[str]:
    return (f"  {line}" for line in sql.splitlines())


def _shown(found: Any) -> None:
    console = screen()
    columns = [Column(field.name, right=not str(field.type).startswith("string")) for field in found.schema]
    rows = [[cell(plain(value)) for value in row.values()] for row in plain_rows(found)]
    console.print(table(columns, rows, console.width))


def next_steps(settings: LakeSettings) -> list[str]:
    """Commands to go on with, on this very lake."""
    own, place = program(), f"K2_LAKE_FOLDER={shlex.quote(str(settings.folder))}"
    return [
        "Ask it yourself:", f"  {place} {own} query \"SELECT * FROM trades ORDER BY timestamp DESC LIMIT 5\"",
        f"  {place} {own} query trades --side BUY --limit 5",
        "Over HTTP, with the extra `api` (then: curl 'localhost:8000/v1/trades?limit=2'):",
        f"  {place} {own} serve --store lake",
    ]
