"""Gaps as records: found and closed, on ``market.{asset_class}.gaps.{exchange}``."""

from __future__ import annotations

from k2conn.engine.gaps.gap import Gap
from k2conn.engine.gaps.gap_states import BackfillStatus, GapStatus
from k2conn.engine.identity.message_ids import MessageIds
from k2conn.envelope import DeliveryAccount, Envelope
from k2conn.plan import Plan
from k2conn.records import RecordType, earliest_revision

GAP = "gap"
"""The name of their record type."""
STREAM = "gaps"
"""The ledger's name for gap records."""
_UNDECIDED = (BackfillStatus.NONE, BackfillStatus.PENDING)


def gap_record(asset_class: str) -> RecordType:
    """The record type that the engine makes itself, for a connector of that asset class."""
    return earliest_revision(GAP, asset_classes=[asset_class])


def gap_topic(plan: Plan) -> str:
    """Where a connector's gap records go."""
    return f"market.{plan.asset_class}.{gap_record(plan.asset_class).profile.plural}.{plan.exchange.lower()}"


def gap_envelope(plan: Plan, gap: Gap, now_us: int, account: DeliveryAccount) -> Envelope:
    """The record of one gap as it stands; ``now_us`` is microseconds since the epoch."""
    schema = gap_record(plan.asset_class).schema
    status = GapStatus.OPEN if gap.open else GapStatus.CLOSED
    place = f"{gap.first}" if gap.first is not None else f"t{gap.from_us}"
    stage = f"{gap.last}|{status}" if gap.backfill in _UNDECIDED else f"{gap.last}|{status}|{gap.missing}"
    values: dict[str, object] = {
        "message_id": MessageIds(plan.exchange, gap.stream, gap.key).make(f"gap|{place}|{stage}"),
        "gap_id": f"{plan.exchange}-{gap.stream}-{gap.key}-{place}",
        "symbol": gap.key,
        "exchange": plan.exchange,
        "asset_class": plan.asset_class,
        "connector": plan.name,
        "stream": gap.stream,
        "status": status,
        "first_sequence": gap.first,
        "last_sequence": gap.last,
        "count": gap.count,
        "missing": gap.missing,
        "cause": gap.cause,
        "timestamp": gap.since_us,
        "recovered": gap.recovered,
        "backfill": gap.backfill,
        "from_timestamp": gap.from_us or None,
        "to_timestamp": gap.to_us or None,
        "ingestion_timestamp": now_us,
    }
    body = schema.encode([values[field.name] for field in schema.fields])
    return Envelope(gap_topic(plan), gap.key.encode(), body, schema, now_us // 1000, account)


def gap_words(envelope: Envelope) -> dict[str, object]:
    """A gap record for the log."""
    assert envelope.schema is not None
    record = envelope.schema.decode_plain(envelope.value)
    names = (
        "stream", "symbol", "status", "first_sequence", "last_sequence", "missing", "cause", "recovered", "backfill",
    )
    return {name: record[name] for name in names}
