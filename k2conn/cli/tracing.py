"""Where a record comes from, field by field: the expression, the value it found, the converter, the result."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from k2conn import exactjson
from k2conn.cli.plan_tables import field_rows
from k2conn.compiler.expressions.closures import ExpressionError
from k2conn.compiler.expressions.expressions import compile_expression
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.conversation.session import SessionContext
from k2conn.engine.conversation.session_ids import session_ids
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.envelope import Envelope
from k2conn.errors import K2Error
from k2conn.plan import Json, Match, Plan, Stream, Symbol
from k2conn.scope import Scope

LONGEST = 60
"""Characters of a value that are shown."""
_SEED = "00000000-0000-0000-0000-000000000000"


class FieldTrace(NamedTuple):
    """One field of a record; ``value`` and ``result`` as JSON."""

    field: str
    expression: str
    value: str
    converter: str
    result: str


class _Seen(NamedTuple):
    """An item as the mapping met it, and how many records there were before."""

    stream: Stream
    item: Json
    message: Json
    symbol: Symbol | None
    key: str | None
    before: int


class Tracer:
    """Maps frames of one connector again, and looks on."""

    def __init__(self, plan: Plan) -> None:
        self._seen: list[_Seen] = []
        self._made: list[Envelope] = []
        self._plan = replace(plan, streams=tuple(self._watched(stream) for stream in plan.streams))
        self._originals = {stream.name: stream for stream in plan.streams}

    def trace(
        self, record: Mapping[str, Any], source: Mapping[str, Any]
    ) -> tuple[str | bytes, list[FieldTrace]] | None:
        """The frame that a record came with and its fields; None where none of the frames gives it."""
        state = ConnectorState(self._plan, [stream.name for stream in self._plan.streams], window=0)
        resolve = self._plan.symbols.resolve
        symbols = [found for name in self._plan.symbols.default if (found := resolve(name)) is not None]
        for frame in map(_frame, source["frames"]):
            for connection in self._plan.connections:
                context = SessionContext(session_ids(_SEED), {})
                pipeline = FramePipeline(state, connection, symbols, context)
                pipeline.session.scope.state.update(source.get("state") or {})
                self._seen.clear()
                self._made = []
                for _ in pipeline.work([frame], 0.0, int(source["time"]), self._made, []):
                    pass
                if (seen := self._origin(record)) is not None:
                    return frame, self._fields(seen, record, pipeline.session.scope)
        return None

    def _origin(self, record: Mapping[str, Any]) -> _Seen | None:
        """The item that gave the record."""
        for number, one in enumerate(self._made):
            if one.schema is None or one.schema.decode_plain(one.value).get("message_id") != record.get("message_id"):
                continue
            return next((seen for seen in reversed(self._seen) if seen.before <= number), None)
        return None

    def _fields(self, seen: _Seen, record: Mapping[str, Any], scope: Scope) -> list[FieldTrace]:
        scope.message, scope.symbol, scope.key = seen.message, seen.symbol, seen.key
        found = []
        for name, expression, converter, absent, _ in field_rows(self._originals[seen.stream.name]):
            result: Any = record
            for part in name.split("."):
                result = result.get(part) if isinstance(result, Mapping) else None
            value = "-" if converter == "constant" else _value(expression, seen.item, scope)
            found.append(FieldTrace(name, expression, value, converter + (f", else {absent}" if absent else ""),
                                    _short(result)))
        return found

    def _watched(self, stream: Stream) -> Stream:
        own = stream.drop_when

        def dropped(item: Any, scope: Scope) -> bool:
            self._seen.append(_Seen(stream, item, scope.message, scope.symbol, scope.key, len(self._made)))
            return own is not None and own.condition(item, scope)

        return replace(stream, drop_when=Match("looks on", dropped), first_batch="keep")


def _frame(shown: Mapping[str, Any]) -> str | bytes:
    if "base64" in shown:
        return base64.b64decode(shown["base64"])
    text = str(shown["text"])
    return text.encode() if shown.get("binary") else text


def _value(expression: str, item: Json, scope: Scope) -> str:
    try:
        return _short(compile_expression(expression).get(item, scope))
    except (ExpressionError, K2Error):
        return "-"


def _short(value: Any) -> str:
    text = exactjson.encode(value).decode()
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def rows(fields: Sequence[FieldTrace]) -> list[dict[str, str]]:
    """The fields as JSON objects."""
    return [one._asdict() for one in fields]
