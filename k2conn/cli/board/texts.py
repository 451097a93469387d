"""The board as texts: the cells of its tables and the lines above them. Pure; every text is fit for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from k2conn.cli.screen import Cell, Column, Styled, fitting
from k2conn.monitoring.board.document import Board, BoardError
from k2conn.monitoring.board.query import BoardQuery
from k2conn.monitoring.board.rows import SymbolRow
from k2conn.printable import visible

VIEWS = ("connectors", "streams", "symbols", "errors")
NAME = 24
"""Characters of a symbol's name in a table."""
_GOOD = ("live", "ok", "stopped")
_BAD = ("failed", "waiting", "dead", "refused", "no-data", "unacknowledged")

_COUNTS = (
    Column("records/s", right=True), Column("published", right=True, leaves=1),
    Column("dead letters", right=True, leaves=2), Column("gaps", right=True, leaves=3),
    Column("missing", right=True, leaves=4), Column("duplicates", right=True, leaves=7),
)
_COLUMNS: dict[str, tuple[Column, ...]] = {
    "connectors": (Column("connector"), Column("state"), *_COUNTS, Column("in flight", right=True, leaves=6),
                   Column("frames/s", right=True, leaves=8), Column("reconnects", right=True, leaves=9),
                   Column("why", leaves=5, least=20)),
    "streams": (Column("connector"), Column("stream"), Column("state", leaves=1), *_COUNTS,
                Column("p50", right=True, leaves=5), Column("p99", right=True), Column("last", right=True, leaves=6)),
    "symbols": (Column("connector", leaves=5), Column("stream"), Column("symbol"), *_COUNTS,
                Column("last", right=True, leaves=1), Column("latest record", least=24), Column("state", leaves=8)),
    "errors": (Column("time"), Column("connector", leaves=2), Column("stream", leaves=3), Column("kind"),
               Column("reason", leaves=1), Column("what", least=20)),
}


class BoardRow(NamedTuple):
    """A row of a table, and what it is of: connector, stream and symbol, as far as it says them."""

    key: tuple[str, str, str]
    cells: tuple[Cell, ...]


class BoardTable(NamedTuple):
    """A table that fits so many columns of a screen."""

    columns: tuple[Column, ...]
    rows: tuple[BoardRow, ...]


def board_table(board: Board, view: str, query: BoardQuery, width: int) -> BoardTable:
    """One of the `VIEWS`, sorted and filtered as the query says."""
    rows = list(_ROWS[view](board, query))
    columns = _COLUMNS[view]
    kept, left = fitting(columns, [row.cells for row in rows], width)
    return BoardTable(
        tuple(columns[at] for at in kept),
        tuple(
            BoardRow(row.key, tuple(_cut(row.cells[at], left) if columns[at].least else row.cells[at] for at in kept))
            for row in rows
        ),
    )


def head(board: Board | None, trouble: str) -> list[list[Cell]]:
    """The lines above the tables: how the process does, its sink, and what is amiss."""
    if board is None:
        return [[Styled(trouble or "asking ...", "yellow")], [""], [""]]
    rate = "-" if board["per_second"] is None else f"{board['per_second']:,.1f}"
    memory = "" if board["memory_mb"] is None else f"  {board['memory_mb']:,.0f} MB"
    first: list[Cell] = [
        Styled(board["status"], _style(board["status"])),
        f"  k2conn {board['version']}  up {span(board['uptime_seconds'])}  {rate} records/s{memory}",
    ]
    amiss = trouble or next((f"waiting for {one}" for one in board["waiting_for"]), "") or next(
        iter(board["degraded_by"]), "")
    return [first, _sink(board), [Styled(amiss, "red" if trouble else "yellow")]]


def _sink(board: Board) -> list[Cell]:
    sink = board["sink"]
    state = Styled("up", "green") if sink["reachable"] else Styled("away", "red")
    words = f"  queued {sink['queued']:,}  errors {sink['errors']:,}"
    if (spool := sink["spool"]) is not None:
        words += f"  spool {spool['state']} {size(spool['bytes'])} of {size(spool['max_bytes'])}"
        words += f", {spool['behind']:,} behind"
        if spool["seconds_to_full"] is not None:
            words += f", full in {span(spool['seconds_to_full'])}"
    if sink["last_error"]:
        words += f"  {sink['last_error']}"
    return [f"sink {sink['name']} ", state, words]


def details(row: SymbolRow) -> list[list[Cell]]:
    """All that is known of one symbol, for a page of its own."""
    counts = ("received", "published", "duplicates", "dead_letters", "in_flight", "lost", "gaps", "missing",
              "backfilled")
    numbers: dict[str, Any] = dict(row)
    fields = "  ".join(f"{name} {value}" for name, value in row["fields"].items())
    return [
        [Styled(f"{row['connector']} / {row['stream']} / {row['symbol']}", "bold"), "  ",
         Styled(row["state"], _style(row["state"])), f"  {row['reason']}"],
        [f"records/s {number(row['per_second'])}  lag {row['lag_ms']:,} ms"],
        ["  ".join(f"{name.replace('_', ' ')} {numbers[name]:,}" for name in counts)],
        [f"latest record  received {row['last_received'] or '-'}  the venue's time {row['last_event'] or '-'}"],
        [f"  {fields}"],
    ]


def books(board: Board, connector: str) -> list[list[Cell]]:
    """The ledger's equation, and why there are dead letters, of a connector."""
    for one in board["connectors"]:
        if one["connector"] == connector:
            reasons = ", ".join(f"{reason} {count:,}" for reason, count in one["dead_letter_reasons"].items())
            sign = Styled("balanced" if one["balanced"] else "NOT BALANCED", "green" if one["balanced"] else "red")
            return [[f"{one['ledger']}  ", sign], [f"dead letters: {reasons}" if reasons else ""]]
    return []


# -- rows


def _connectors(board: Board, query: BoardQuery) -> Iterator[BoardRow]:
    for one in _sorted(board["connectors"], query, "connector"):
        yield BoardRow((one["connector"], "", ""), (
            one["connector"], Styled(one["state"], _style(one["state"])), *_counts(one), f"{one['in_flight']:,}",
            number(one["frames_per_second"]), f"{one['reconnects']:,}", one["reason"],
        ))


def _streams(board: Board, query: BoardQuery) -> Iterator[BoardRow]:
    for one in _sorted(board["streams"], query, "connector", "stream"):
        latency = one["receipt_to_ack_ms"]
        yield BoardRow((one["connector"], one["stream"], ""), (
            one["connector"], one["stream"], Styled(one["state"], _style(one["state"])), *_counts(one),
            milliseconds(latency["p50"]), milliseconds(latency["p99"]), ago(one["last_received"], board["at"]),
        ))


def _symbols(board: Board, query: BoardQuery) -> Iterator[BoardRow]:
    for one in board["symbols"]["rows"]:
        fields = " ".join(f"{name} {value}" for name, value in list(one["fields"].items())[:3])
        yield BoardRow((one["connector"], one["stream"], one["symbol"]), (
            one["connector"], one["stream"], _cut(one["symbol"], NAME), *_counts(one),
            ago(one["last_received"], board["at"]), fields, Styled(one["state"], _style(one["state"])),
        ))


def _errors(board: Board, query: BoardQuery) -> Iterator[BoardRow]:
    wanted = query.symbol.casefold()
    for one in board["errors"]:
        if wanted in error_line(one).casefold():
            yield BoardRow((one["connector"], one["stream"], ""), (
                one["time"][11:19], one["connector"], one["stream"], Styled(one["kind"], "red"), one["reason"],
                one["text"][:200],
            ))


_ROWS: dict[str, Callable[[Board, BoardQuery], Iterator[BoardRow]]] = {
    "connectors": _connectors, "streams": _streams, "symbols": _symbols, "errors": _errors,
}
_FIELDS: Mapping[str, Callable[[Any], Any]] = {
    "rate": lambda one: one["per_second"] or 0.0,
    "lag": lambda one: one.get("lag_ms", 0),
    "last": lambda one: one.get("last_received") or "",
    "state": lambda one: (one["state"] in _BAD, one["state"] not in _GOOD),
}


def _sorted(rows: Sequence[Any], query: BoardQuery, *names: str) -> list[Any]:
    """Those whose names have what is looked for, in order."""
    wanted = query.symbol.casefold()
    found = [one for one in rows if any(wanted in one[name].casefold() for name in names)]
    found.sort(key=lambda one: [one[name] for name in names])
    if query.by == "symbol":
        return found[::-1] if query.reverse else found
    return sorted(found, key=_FIELDS.get(query.by, lambda one: one[query.by]), reverse=query.reverse)


def _counts(one: Any) -> tuple[Cell, ...]:
    dead, missing = f"{one['dead_letters']:,}", f"{one['missing']:,}"
    return (
        number(one["per_second"]), f"{one['published']:,}", Styled(dead, "red") if one["dead_letters"] else dead,
        f"{one['gaps']:,}", Styled(missing, "yellow") if one["missing"] else missing, f"{one['duplicates']:,}",
    )


# -- words


def _cut(cell: Cell, width: int) -> Cell:
    """A cell of so many characters at most."""
    if isinstance(cell, Styled):
        return cell
    text = visible(cell[: 4 * width])
    return text if len(text) <= width else f"{text[: max(0, width - 3)]}..."


def error_line(one: BoardError) -> str:
    """An error on one line."""
    words = (one["time"][11:19], one["connector"], one["stream"], one["kind"], one["reason"], one["text"])
    return visible(" ".join(words))


def number(rate: float | None) -> str:
    """A rate; - where it is not known yet."""
    return "-" if rate is None else f"{rate:,.1f}"


def milliseconds(value: float | None) -> str:
    """A duration in milliseconds, in few characters."""
    if value is None:
        return "-"
    return f"{value:.1f} ms" if value < 10 else f"{value:,.0f} ms"


def span(seconds: float | None) -> str:
    """A time span in its two largest units: 3 d 4 h, 5 min 6 s."""
    if seconds is None:
        return "-"
    left, found = int(seconds), []
    for name, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if left >= length or name == "s":
            found.append(f"{left // length} {name}")
            left %= length
    return " ".join(found[:2])


def ago(moment: str | None, now: str | None) -> str:
    """How long before ``now`` a moment was (both ISO 8601)."""
    if moment is None or now is None:
        return "-"
    seconds = (datetime.fromisoformat(now) - datetime.fromisoformat(moment)).total_seconds()
    return "now" if seconds < 1 else span(seconds)


def size(count: int) -> str:
    """Bytes, in a unit of two to four digits."""
    for unit, length in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= length:
            return f"{count / length:.1f} {unit}"
    return f"{count} B"


def _style(state: str) -> str:
    if state in _GOOD:
        return "green"
    return "red" if state in _BAD else "yellow"
