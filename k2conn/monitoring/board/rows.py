"""The symbols of the board: found, sorted, and cut to what is asked for; only these are decoded and written out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Context, Decimal
from heapq import nlargest, nsmallest
from operator import itemgetter
from typing import Any, TypedDict, TypeVar

from k2conn import exactjson
from k2conn.clock import wall_us
from k2conn.engine.accounting.ledger import NOWHERE, Account
from k2conn.engine.resilience.silence_detection import REASONS, SilenceState
from k2conn.envelope import Envelope
from k2conn.monitoring.board.looks import LastRecords, Look, per_second
from k2conn.monitoring.board.query import BoardQuery
from k2conn.records import load_record
from k2conn.runner import Connector, Runner

FIELD = 100
"""Characters of a field's value that are shown."""
_WIDE = Context(prec=60)
"""Python's own is 28 digits: decimal(38,18) has more."""


class SymbolRow(TypedDict):
    """One symbol of one stream. Texts are the venue's own: whoever shows them sees to it that they stay texts."""

    connector: str
    stream: str
    symbol: str
    state: str
    """A `k2conn.engine.resilience.silence_detection.SilenceState`; empty where no connection carries it."""
    reason: str
    per_second: float | None
    received: int
    published: int
    duplicates: int
    dead_letters: int
    in_flight: int
    lost: int
    gaps: int
    missing: int
    backfilled: int
    lag_ms: int
    """From the exchange's time of the latest durable record to its acknowledgement."""
    last_received: str | None
    """When its latest record came: ISO 8601, UTC."""
    last_event: str | None
    """The exchange's time of it."""
    fields: dict[str, str]
    """The fields of its latest record that are worth a look, as the record has them; the headline alone where the
    record came before anybody looked."""


@dataclass(frozen=True, slots=True)
class _Found:
    """An account, and what it is sorted by."""

    connector: Connector
    account: Account
    per_second: float | None
    state: SilenceState | None
    lag_us: int


_One = TypeVar("_One")
_ACCOUNT_KEYS: dict[str, Callable[[_Found], Any]] = {
    "symbol": lambda one: (one.connector.plan.name, one.account.stream, one.account.symbol),
    "rate": lambda one: one.per_second or 0.0,
    "published": lambda one: one.account.published,
    "duplicates": lambda one: one.account.duplicates,
    "dead_letters": lambda one: one.account.dead_letters,
    "gaps": lambda one: one.account.gaps,
    "missing": lambda one: one.account.missing,
    "lag": lambda one: one.lag_us,
    "last": lambda one: one.account.last_received_us,
    "state": lambda one: one.state.grade if one.state is not None else -1,
}
_ROW_KEYS: dict[str, Callable[[Any], Any]] = {
    "symbol": lambda row: (row["connector"], row["stream"], row["symbol"]),
    "rate": lambda row: row["per_second"] or 0.0,
    "lag": lambda row: row["lag_ms"],
    "last": lambda row: row["last_received"] or "",
    "state": lambda row: SilenceState(row["state"]).grade if row["state"] else -1,
}


def symbol_rows(
    runner: Runner, query: BoardQuery, looks: tuple[Look | None, Look], last: LastRecords
) -> tuple[int, list[SymbolRow]]:
    """How many symbols the query names, and the first of them up to its end, sorted."""
    found = [
        one for connector in runner.connectors if query.connector in ("", connector.plan.name)
        for one in _found(connector, query, looks)
    ]
    return len(found), [_row(one, last) for one in _first(found, query, _ACCOUNT_KEYS[query.by])]


def ordered(rows: Sequence[SymbolRow], query: BoardQuery) -> list[SymbolRow]:
    """The rows of several workers in one order, up to the query's end."""
    return _first(rows, query, _ROW_KEYS.get(query.by, itemgetter(query.by)))


def moment(at_us: int) -> str | None:
    """A time for people and programs: ISO 8601 in UTC, to the millisecond; None for none, or one beyond the calendar.
    """
    if not at_us:
        return None
    try:
        whole = datetime.fromtimestamp(at_us // 1_000_000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{at_us % 1_000_000 // 1000:03d}Z"


def _found(connector: Connector, query: BoardQuery, looks: tuple[Look | None, Look]) -> Iterator[_Found]:
    before, now = looks
    seconds = now.at - before.at if before is not None else 0.0
    wanted, states, wall = query.symbol.casefold(), connector.silence.watch.states, wall_us()
    for account in connector.connector_state.ledger.accounts():
        if account.stream == NOWHERE or query.stream not in ("", account.stream):
            continue  # frames that are no message are the connector's, and no symbol's
        if wanted not in account.symbol.casefold():
            continue
        grown = account.received - before.received.get(account, 0) if before is not None else 0
        state = states.get((account.stream, account.symbol))
        yield _Found(connector, account, per_second(grown, seconds), state, account.lag_us(wall))


def _first(found: Sequence[_One], query: BoardQuery, key: Callable[[_One], Any]) -> list[_One]:
    """Equal ones stay in the order in which they came."""
    return nlargest(query.end, found, key) if query.reverse else nsmallest(query.end, found, key)


def _row(one: _Found, last: LastRecords) -> SymbolRow:
    account, state = one.account, one.state
    return {
        "connector": one.connector.plan.name,
        "stream": account.stream,
        "symbol": account.symbol,
        "state": str(state or ""),
        "reason": REASONS.get(state, "") if state is not None else "",
        "per_second": one.per_second,
        "received": account.received,
        "published": account.published,
        "duplicates": account.duplicates,
        "dead_letters": account.dead_letters,
        "in_flight": account.in_flight,
        "lost": account.lost,
        "gaps": account.gaps,
        "missing": account.missing,
        "backfilled": account.backfilled,
        "lag_ms": one.lag_us // 1000,
        "last_received": moment(account.last_received_us),
        "last_event": moment(account.last_event_us),
        "fields": _fields(one.connector, account, last[account]),
    }


def _fields(connector: Connector, account: Account, latest: Envelope | None) -> dict[str, str]:
    """See `SymbolRow`."""
    if latest is not None and latest.schema is not None:
        record = latest.schema.decode_plain(latest.value)
        shown = ((name, record.get(name)) for name in load_record(latest.schema.name).shown)
        return {name: exactjson.excerpt(value, FIELD) for name, value in shown if value is not None}
    mapping = connector.connector_state.mappings.get(account.stream)
    if mapping is None or mapping.price_scale is None or account.last_price is None:
        return {}
    headline = load_record(mapping.stream.record).profile.price or ""
    number = Decimal(account.last_price).scaleb(-mapping.price_scale, _WIDE).normalize(_WIDE)
    return {headline: format(number, "f")}
