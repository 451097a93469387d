"""Compiles ``audit:``: which stream's trades a venue's candles are made of, and what of the two is compared."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from k2conn.compiler.language.document import Path
from k2conn.compiler.language.durations import duration
from k2conn.compiler.language.problems import known, short
from k2conn.compiler.sections.context import CompileContext
from k2conn.plan import AUDITED, Audit
from k2conn.records import RecordType

_TRADES, _CANDLE = "trade", "candle"


def compile_audit(
    note: CompileContext, spec: dict[str, Any], said: dict[str, Any], record: RecordType, mapped: frozenset[str],
    path: Path,
) -> Audit | None:
    """The rule, of a stream of one interval; None where nothing is said, or after noting what is wrong. ``mapped``: the
    stream's fields.
    """
    if "audit" not in said:
        return None
    place, rule = (*path, "audit"), said["audit"]
    if record.name != _CANDLE:
        note(place, "value", "`audit` is for candles with `intervals`", at_key=True)
        return None
    rule = note.pruned(rule, place)
    if "trades" not in rule or "fields" not in rule:
        return None  # noted by the shape
    _check_trades(note, spec, rule["trades"], (*place, "trades"))
    names = tuple(rule["fields"])
    for at, name in enumerate(names):
        if name in AUDITED and name not in mapped:
            note((*place, "fields", at), "unknown-field", f"'{name}' is not mapped: there is nothing to compare with")
    tolerance: dict[str, tuple[int, int]] = {}
    for name, value in rule.get("tolerance", {}).items():
        if name not in names:
            text = f"'{short(name)}' is not compared{known(name, names)}"
            note((*place, "tolerance", name), "unknown-field", text, at_key=True)
        else:
            tolerance[name] = _exact(value)
    settle = note.read(duration, rule["settle"], (*place, "settle")) if "settle" in rule else None
    return Audit(
        rule["trades"], names, Audit("", ()).settle if settle is None else settle, rule.get("edge", "begin"), tolerance
    )


def _check_trades(note: CompileContext, spec: dict[str, Any], name: str, place: Path) -> None:
    streams = spec.get("streams", {})
    trades = [one for one, body in streams.items() if isinstance(body, dict) and body.get("record", one) == _TRADES]
    if name not in trades:
        note(place, "unknown-stream", f"'{short(name)}' is no stream of trades of this connector{known(name, trades)}")


def _exact(value: Any) -> tuple[int, int]:
    """A number as a whole number and its scale."""
    number = Decimal(str(value))
    scale = max(0, -int(number.as_tuple().exponent))
    return int(number.scaleb(scale)), scale
