"""Bundles: groups of symbols that must be carried by the same process.

Two processes can share a connector's symbols only where each can subscribe to its own: a request for one symbol must
not bring records of another. To find out, the address and the frames of each symbol alone are compared. Where they are
equal for two symbols (a channel of all symbols, a topic of one currency, a venue that sends everything without being
asked), both processes would receive, and publish, the same records. Symbols with the same record key also stay
together, to keep the order within that key, and so do all whose numbers are counted together.

Pure.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence

from k2conn.engine.conversation.request_frames import step_frames
from k2conn.engine.conversation.session import SessionContext, subscriptions_for
from k2conn.engine.conversation.subscriptions import Subscription
from k2conn.engine.sharding.shards import carries
from k2conn.errors import K2Error
from k2conn.plan import Connection, Json, Plan, SendScope, Step, Stream, Symbol
from k2conn.scope import Scope

_NAMED = re.compile(r"\$(?:each_)?(?:symbol|topic)s?\b(?!\.)|\$symbols?\.(?:native|lower|upper)\b")
"""Variables that are different for every symbol, for a frame that cannot be rendered without a live connection."""
_PART = re.compile(r"\$symbols?\.(?!native|lower|upper)")
"""Variables that may be equal for several symbols."""


class _AnyVariable(Mapping[str, str]):
    """An environment in which every variable is set, to the same value for all symbols."""

    def __getitem__(self, name: str) -> str:
        return "-"

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


_VALUES = SessionContext(lambda: "-", _AnyVariable())


def bundles(plan: Plan, streams: Sequence[Stream], names: Sequence[str]) -> list[list[str]]:
    """Groups the given native names by which must stay together, in the given order.

    A name that no symbol rule matches (it may come from the venue's own list) is compared by its text only.
    """
    symbols = {name: plan.symbols.resolve(name) or Symbol(name, name, "-", "-") for name in names}
    groups = _Groups(symbols)
    owners: dict[Hashable, str] = {}
    for name, symbol in symbols.items():
        for request in _requests_of(plan, streams, symbol):
            groups.join(name, owners.setdefault(request, name))
    return groups.all()


class _Groups:
    """Disjoint sets of names (union-find)."""

    def __init__(self, names: Mapping[str, Symbol]) -> None:
        self._head = {name: name for name in names}

    def join(self, one: str, other: str) -> None:
        """Merges the groups of two names."""
        first, second = self._head[one], self._head[other]
        if first != second:
            self._head = {name: second if head == first else head for name, head in self._head.items()}

    def all(self) -> list[list[str]]:
        found: dict[str, list[str]] = {}
        for name, head in self._head.items():
            found.setdefault(head, []).append(name)
        return list(found.values())


def _requests_of(plan: Plan, streams: Sequence[Stream], symbol: Symbol) -> Iterator[Hashable]:
    """What a process would request for one symbol alone; two symbols with an element in common stay together."""
    yield "key", symbol.record
    for stream in streams:
        if stream.sequence is not None and stream.sequence.group is not None:
            yield "numbers", stream.name  # that count over several symbols, as far as anybody can tell
    for connection in plan.connections:
        own = [stream for stream in streams if stream.name in connection.streams]
        if not own or not carries(connection, symbol):
            continue
        wanted = subscriptions_for(connection, own, (symbol,), _VALUES)
        place = (connection.name, _address(connection, symbol, wanted))
        asked: set[str] = set()
        for at, step in enumerate(connection.steps):
            mine = [one for one in wanted if one.stream in step.streams and _step_applies(step, symbol)]
            if mine:
                asked.update(one.stream for one in mine)
                yield (*place, at, _requests(step, symbol, mine))
        for stream in own:
            if stream.name not in asked:
                yield (*place, stream.name)


def _step_applies(step: Step, symbol: Symbol) -> bool:
    return step.symbols is None or step.symbols.condition({**symbol._asdict(), **dict(symbol.parts)}, Scope())


def _scope(symbol: Symbol, wanted: Sequence[Subscription]) -> SendScope:
    topics: list[Json] = [one.topic for one in wanted if one.topic is not None]
    return SendScope(lambda: 0, _VALUES.uuid, 0, {}, _VALUES.environment, (symbol,), tuple(topics), sign=lambda _: "-")


def _address(connection: Connection, symbol: Symbol, wanted: Sequence[Subscription]) -> Hashable:
    """The address for one symbol; where only a live connection can render it, judged by its template."""
    try:
        return str(connection.urls[0](_scope(symbol, wanted)))
    except K2Error:
        return _by_text(connection.url_texts[0], symbol)


def _requests(step: Step, symbol: Symbol, wanted: Sequence[Subscription]) -> Hashable:
    """The frames for one symbol."""
    try:
        return tuple(frame.body for frame in step_frames(step, wanted, _scope(symbol, wanted), lambda: 0, None))
    except K2Error:
        return _by_text(step.text, symbol)


def _by_text(text: str, symbol: Symbol) -> Hashable:
    return symbol.native if _NAMED.search(text) and not _PART.search(text) else None
