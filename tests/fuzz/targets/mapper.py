"""Items to records in C against the general mapper: the same record and envelope, byte for byte, or left to it. The
values that carried fields have are made of the item.

Run by libFuzzer, what is written in C is instrumented (`c/python_host.c`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

from k2conn import exactjson, native
from k2conn.compiler.compiler import load_plan
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.conversation.routing import STREAM
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.engine.mapping.stream_mapping import StreamMapping
from k2conn.engine.mapping.symbol_contexts import SymbolContext
from k2conn.errors import EncodeError, RecordError, SpecError
from k2conn.plan import Plan, Stream
from k2conn.resources import connectors_folder
from k2conn.scope import Scope
from tests.fuzz.draws import Draws
from tests.support.plans import STREAMS, SUBSCRIBE, WORLD, plan_of, trade, trades

NOW = 1_767_323_045_700_000
OTHERS = """    vendor_data: {e: e, n: n, both: "to_string([d, e])"}
    unmapped: keep
"""
WORDS = (b"\x01", b"\x04\x10", b"\x06\x1264000.10", b"\x03\x11\x7f" + b"\xff" * 16, b"\x07\x40" + b"x" * 64)


@dataclass(frozen=True, slots=True)
class Case:
    """An item of a connector's own tests, and the ways to map it."""

    name: str
    item: Any
    key: str | None
    message: Any
    state: dict[str, Any]
    in_c: Callable[..., Any] | None
    mapping: StreamMapping
    context: SymbolContext

    def scope(self) -> Scope:
        """What the item is seen with."""
        scope = Scope(dict(self.state))
        scope.message, scope.received_at, scope.symbol = self.message, NOW, self.context.resolved
        scope.key = self.key
        return scope


def own() -> Plan:
    """A connector that has everything that a shortcut can have."""
    return plan_of(SUBSCRIBE, STREAMS.replace("  quote:", OTHERS + "  quote:"))


@cache
def cases() -> tuple[Case, ...]:
    """The first item of each stream of all connectors, where there is a shortcut."""
    plans = [own()]
    for path in sorted(connectors_folder().glob("*.yaml")):
        with suppress(SpecError):
            plans.append(load_plan(path))
    found: dict[str, Case] = {}
    for plan in plans:
        for case in cases_of(plan):
            found.setdefault(case.name, case)
    return tuple(case for case in found.values() if native.Mapper is None or case.in_c is not None)


def cases_of(plan: Plan) -> Iterator[Case]:
    """Those of one connector."""
    messages = [turn.value for one in plan.tests for turn in one.dialogue if turn.kind == "received"]
    messages += [] if plan.tests else [exactjson.decode(trades(trade(e="x", n=5)))]
    names = [symbol for name in plan.symbols.default if (symbol := plan.symbols.resolve(name))]
    for connection in plan.connections:
        connector_state = ConnectorState(plan, [stream.name for stream in plan.streams])
        pipeline = FramePipeline(connector_state, connection, names, WORLD)
        session = pipeline.session
        for message in messages:
            kind, at = session.router.route(message, session.scope)
            if kind != STREAM:
                continue
            stream = session.streams[at]
            session.scope.message = message
            for key, item in items_of(stream, message, session.scope):
                session.scope.key = key
                with suppress(RecordError):
                    yield case_of(plan, connector_state.mappings[stream.name], item, message, session.scope)


def items_of(stream: Stream, message: Any, scope: Scope) -> list[tuple[str | None, Any]]:
    """The first item of a message, with its key where items have one."""
    value = stream.each(message, scope) if stream.each else message
    if isinstance(value, dict) and stream.each and stream.each_key:
        return list(value.items())[:1]
    items = value if isinstance(value, list) and stream.each else [value]
    return [(None, item) for item in items[:1]]


def case_of(plan: Plan, mapping: StreamMapping, item: Any, message: Any, scope: Scope) -> Case:
    """One item, with its symbol's native mapper."""
    context = mapping.contexts.context(mapping.stream.symbol.read(item, scope))
    name = f"{plan.name} {mapping.stream.name}"
    return Case(name, item, scope.key, message, dict(scope.state), context.fast, mapping, context)


def seeds() -> Iterator[bytes]:
    """Case, edits."""
    for at, _ in enumerate(cases()):
        yield bytes((at, 0))
        yield bytes((at, 1, 0, 0, 4, 5))
        yield bytes((at, 2, 1, 1, 6, 8)) + b"64000.10" + bytes((3, 0, 3, 9)) + (2**64).to_bytes(9, "big")
        yield bytes((at, 1, 5, 1, 7, 4)) + "é€".encode()


def target(data: bytes) -> None:
    """One item after some changes."""
    draws = Draws(data)
    case = draws.of(cases())
    item = changed(draws, case.item)
    carried = case.mapping._general.carried
    scope, other, values = case.scope(), case.scope(), None
    if carried is not None:
        with suppress(RecordError):
            values = carried.take(item, case.context.symbol, case.scope())
        if values is None:
            return
    found = case.in_c(item, scope, *filter(None, (values,))) if case.in_c is not None else None
    if found is None:
        assert left(scope) == ({}, 0, None)
        return
    judge = general(case, item, other, values or ())
    assert judge is not None, "only C makes a record of it"
    assert tuple(found) == tuple(judge), case.name
    assert type(found[3]) is type(judge[3])
    assert left(scope) == left(other)


def left(scope: Scope) -> tuple[Any, ...]:
    """What a mapper has left in a scope."""
    return scope.notes, scope.unknown_sides, scope.rounded


def changed(draws: Draws, item: Any) -> Any:
    """An item with some of its members another, or gone, or more."""
    if not isinstance(item, (dict, list)):
        return draws.value(2)
    found: Any = item.copy()
    keys: list[Any] = [*found, "unheard of", "native_symbol"] if isinstance(found, dict) else [*range(len(found))]
    for _ in range(draws.below(5)):
        key, how = draws.of(keys) if keys else 0, draws.below(4)
        if isinstance(found, list):
            found[key : key + (how < 3)] = [draws.value(2)] if how < 3 else []
        elif how == 3:
            found.pop(key, None)
        elif how == 2:
            found[draws.text(80)] = draws.value(2)
        else:
            found[key] = draws.value(2)
    return found


def general(case: Case, item: Any, scope: Scope, values: Any) -> Any:
    """What the general mapper makes of it; None where it makes no record."""
    try:
        made = case.mapping._general.made(item, case.context, scope, values, False)
    except (RecordError, EncodeError):
        return None
    return made
