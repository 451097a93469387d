"""What a connector says and how its streams map, as rows of text: what `explain` and `docs` show."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence

from k2conn.engine.conversation.request_frames import shown, step_frames
from k2conn.engine.conversation.session import SessionContext, subscriptions_for
from k2conn.errors import MissingVariable, RecordError
from k2conn.plan import Connection, Plan, SendScope, Stream
from k2conn.records import load_record


def sent_frames(
    plan: Plan, connection: Connection, names: Sequence[str], new_uuid: Callable[[], str] = lambda: str(uuid.uuid4())
) -> list[str]:
    """The frames as they would be sent now; a step that needs a captured or secret value is shown as written."""
    session_context = SessionContext(new_uuid, {})
    streams = [s for s in plan.streams if s.default and s.name in connection.streams]
    symbols = [found for name in names if (found := plan.symbols.resolve(name))]
    wanted = subscriptions_for(connection, streams, symbols, session_context)
    counter = iter(range(1, 1_000_000))
    scope = SendScope(lambda: 0, session_context.uuid, 0, {}, {}, sign=lambda _: "$signature")
    out: list[str] = []
    for step in connection.steps:
        own = [one for one in wanted if one.stream in step.streams]
        try:
            frames = step_frames(step, own, scope, lambda: next(counter), None)
            out += [shown(frame.body) or f"(waits: {step.name})" for frame in frames]
        except (MissingVariable, LookupError):
            out.append(step.text)
        except RecordError as error:  # a value that only a live connection has: shown as written
            out.append(f"{step.text}   ({error})")
    return out


def field_rows(stream: Stream) -> list[tuple[str, str, str, str, str]]:
    """Field, expression, converter, default and speed of all that a stream maps, vendor_data last."""
    own = [stream.symbol, *([stream.venue_id] if stream.venue_id else []), *stream.fields]
    own += [stream.currency] if stream.currency else []
    rows = [(one.name, one.expression, one.converter, one.absent or "", one.speed) for one in own]
    if stream.identity:
        words = "time, digest, number among equals"
        own_id = load_record(stream.record).profile.id or "message_id"
        rows.append((own_id, ", ".join(stream.identity), words, "", ""))
    rows += [(f"vendor_data.{one.name}", one.expression, one.converter, "", one.speed) for one in stream.vendor_data]
    rows.append(("vendor_data.*", "everything unmapped" if stream.unmapped else "nothing else", "", "", ""))
    return rows
