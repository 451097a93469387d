"""The ledger's figures as JSON: of one account, of sums over accounts, and of a whole connector."""

from __future__ import annotations

from typing import Annotated, TypedDict

from k2conn.merging import all_true, any_true, each_by_name, in_shape, side_by_side, total


class AccountFigures(TypedDict):
    """Counts of records; see `k2conn.engine.accounting.ledger` for their equation."""

    items: Annotated[int, total]
    filtered: Annotated[int, total]
    received: Annotated[int, total]
    published: Annotated[int, total]
    duplicates: Annotated[int, total]
    dead_letters: Annotated[int, total]
    in_flight: Annotated[int, total]
    spooled: Annotated[int, total]
    lost: Annotated[int, total]
    unknown_sides: Annotated[int, total]
    snapshots: Annotated[int, total]
    gaps: Annotated[int, total]
    missing: Annotated[int, total]
    backfilled: Annotated[int, total]
    conflicts: Annotated[int, total]
    """Published under an id of their own, because another record had theirs."""


class StreamTimes(TypedDict):
    """When a stream last had data, over all of its symbols; microseconds, 0 where it had none."""

    last_event_us: int
    last_received_us: int
    lag_us: int
    """Of its slowest symbol."""


class StreamReport(AccountFigures):
    """The figures of a stream, and of each of its symbols."""

    symbols: Annotated[dict[str, AccountFigures], each_by_name(in_shape(AccountFigures))]


class ConversationFigures(TypedDict):
    """Counts of frames, connections and subscriptions of a connector."""

    frames: Annotated[int, total]
    control: Annotated[int, total]
    unrecognised: Annotated[int, total]
    malformed: Annotated[int, total]
    discarded: Annotated[int, total]
    connects: Annotated[int, total]
    crashes: Annotated[int, total]
    stood: Annotated[bool, any_true]
    """Whether a connection ever had data, or was subscribed for a while."""
    reconnects: Annotated[int, total]
    reconnect_causes: Annotated[dict[str, int], each_by_name(total)]
    refused: Annotated[int, total]
    venue_errors: Annotated[int, total]
    """What the venue said is wrong, beside its answers to subscriptions."""
    dead_letter_reasons: Annotated[dict[str, int], each_by_name(total)]


class LedgerReport(ConversationFigures, AccountFigures):
    """All figures of a connector's ledger."""

    connector: Annotated[str, side_by_side]
    exchange: Annotated[str, side_by_side]
    balanced: Annotated[bool, all_true]
    streams: Annotated[dict[str, StreamReport], each_by_name(in_shape(StreamReport))]


class ConnectorReport(LedgerReport):
    """All figures of a connector."""

    amendments: Annotated[dict[str, int], each_by_name(total)]
    """Corrections of trades, and what takes them back, by what leaves them out (candles, audit) and did so."""
