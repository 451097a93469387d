"""Plain frames of one connection, mapped in C from their text (`k2conn.native.FrameMapper`): no message is decoded.

Here it is decided what C may do by itself: of a connection whose routes depend on plain paths alone, the streams whose
rules and fields need nothing but plain paths. All other frames, and every item that is not plain, are the general way's
(`FramePipeline`), which makes the same of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from k2conn import exactjson, native
from k2conn.engine.conversation import routing
from k2conn.engine.conversation.session import Session
from k2conn.engine.mapping.mapped_record import MappedRecord
from k2conn.engine.mapping.native_mapper import CONVERSION_ERRORS
from k2conn.engine.mapping.stream_mapping import StreamMapping
from k2conn.engine.mapping.symbol_contexts import SymbolContext
from k2conn.envelope import Envelope
from k2conn.plan import MOST_FORMS, ROOTS, ConditionPath, Getter, Match, Stream, ValuePath
from k2conn.scope import Scope

Take = Callable[[Sequence[str | bytes], int, Scope, list[Envelope]], tuple[int, int, int]]
"""Maps frames from one of them on, into the list: frame, message and item of the first that is not plain."""

_ITEM, _MESSAGE = ROOTS.index("item"), ROOTS.index("message")
_LEAVES, _FLOWS = 64, 64
LONGEST_TEXT = 65_535
"""Bytes of a text that C reads."""
_FORMS = ("path", "rows", "listed")


class PlainFrames:
    """Those of one connection, for as long as its subscriptions stay the same."""

    def __init__(
        self, session: Session, mappings: Sequence[StreamMapping], unpack: Callable[[bytes], bytes] | None = None
    ) -> None:
        """``unpack``: what makes text of binary frames, where these are packed."""
        self._session = session
        self._unpack = unpack
        self._mappings = mappings
        self.depends = False
        self._flows: dict[int, int] = {}
        """The number that C has for a stream, by the session's."""
        self._mapper = self._made() if native.FrameMapper is not None else None
        self.take: Take | None = self._mapper.take if self._mapper is not None else None
        """None where it can map nothing."""
        self.subscribed = session.subscriptions.all
        """The subscriptions that it was made for: with others, there is to be another one."""
        self.captured = session.captures.count
        """What had been captured when it was made; with more, there is to be another one where it `depends` on that."""

    @property
    def frame(self) -> int:
        """Which frame was being mapped when `take` raised."""
        return int(self._mapper.frame) if self._mapper is not None else 0

    def _made(self) -> Any:
        """The native mapper; None where it could map nothing."""
        paths, connection = self._session.router.paths, self._session.connection
        split = _in_text(connection.split.paths) if connection.split is not None else None
        if paths is None or (connection.each is not None and split is None):
            return None
        leaves = list(paths)
        flows: list[tuple[Any, ...]] = []
        for at, mapping in enumerate(self._mappings):
            flow, rules = self._flow(mapping), _paths_of(mapping.stream)
            if flow is not None and rules is not None and len(flows) < _FLOWS:
                self._flows[at] = len(flows)
                flows.append(flow)
                leaves += [leaf for leaf in rules if leaf not in leaves]
        described = tuple(map(_leaf, leaves))
        self.depends = self.depends or any(leaf.captured is not None for leaf in leaves)
        if self.depends and any(one.data for one in connection.capture):
            return None  # there may be another one with each message
        if not flows or len(leaves) > _LEAVES or any(place is None for place, *_ in described):
            return None
        return native.FrameMapper(
            route=(described, self._route), flows=tuple(flows), split=split,
            whole=connection.split is not None and connection.split.whole, decode=exactjson.quick,
            odd=CONVERSION_ERRORS, unpack=self._unpack,
        )

    def _flow(self, mapping: StreamMapping) -> tuple[Any, ...] | None:
        """What C is told of a stream; None where it cannot map it."""
        stream, key = mapping.stream, mapping.number_key
        symbol, items = _symbol(stream), _forms(stream)
        if symbol is None or items is None or not mapping.of_text:
            return None
        direct = stream.symbol.direct
        self.depends = self.depends or (direct is not None and direct.captured) or _captured(stream.drop_when)
        number = ((_ITEM, (key,)),) if key is not None else None
        drops = _drops(stream)
        if drops is None or mapping.window.size == 0 or (key is not None and not key.isascii()):
            return None
        drop = drops, partial(self._drop, mapping)
        return (items, symbol, number, drop, partial(self._enter, mapping), partial(self._repeated, mapping),
                partial(self._unfold, mapping), mapping, mapping.window, mapping.carried_in_c,
                stream.carry is not None and stream.carry.changes_only)

    # -- what C asks

    def _route(self, text: str, _: str) -> int:
        """The number of the stream that takes a message, the form of its items, and whether they are to be turned,
        in one; -1 where that is not for C.
        """
        scope, message = self._session.scope, exactjson.decode(text)
        kind, at = self._session.router.route(message, scope)
        if kind != routing.STREAM or at not in self._flows:
            return -1
        mapping = self._mappings[at]
        scope.message = message
        if mapping.special(message, scope):
            return -1
        stream = mapping.stream
        turned = stream.each is not None and stream.newest_first(message, scope)
        form = stream.forms.choose(message, scope) if stream.forms is not None else 0
        return -1 if form is None else 2 * (MOST_FORMS * self._flows[at] + form) + turned

    def _drop(self, mapping: StreamMapping, message: str, item: str) -> bool:
        """Whether an item is no record."""
        scope = self._session.scope
        scope.message = exactjson.decode(message)
        return mapping.drops(exactjson.decode(item), scope)

    def _enter(self, mapping: StreamMapping, message: str, item: str) -> tuple[Any, ...] | None:
        """The mapper, context and account of an item's symbol; None where its records are not for C, or not yet."""
        scope = self._session.scope
        scope.message = exactjson.decode(message)
        name = mapping.native_name(exactjson.decode(item), scope)
        found = mapping.native(name, scope) if name is not None else None
        expected = found is not None and self._session.subscriptions.expects(
            mapping.stream.name, found[1].resolved.native
        )
        return None if expected else found

    def _unfold(self, mapping: StreamMapping, text: str) -> list[Any]:
        """The items of a message, in the order in which they are mapped."""
        scope = self._session.scope
        scope.message = message = exactjson.decode(text)
        return mapping.items(message, scope)

    def _repeated(
        self, mapping: StreamMapping, context: SymbolContext, identity: str, content: bytes, envelope: Envelope,
        event: int, price: int | None, item: str, message: str,
    ) -> Envelope | None:
        scope = self._session.scope
        scope.message = exactjson.decode(message)
        made = MappedRecord(identity, event, price, envelope, content)
        return mapping.repeated(context, made, exactjson.decode(item), scope)


def _place(get: Getter) -> tuple[Any, ...] | None:
    """The paths of a getter that leads into the message, or the item, alone; None where it does more."""
    place: tuple[tuple[int, tuple[Any, ...]], ...] | None = getattr(get, "place", None)
    return place if place is not None and _is_in_text(place) else None


def _is_in_text(place: tuple[tuple[int, tuple[Any, ...]], ...]) -> bool:
    """Whether paths lead into the message, or the item, by keys that C compares."""
    return all(root in (_ITEM, _MESSAGE) for root, _ in place) and all(
        type(step) is not str or step.isascii() for _, steps in place for step in steps)


def _forms(stream: Stream) -> tuple[tuple[int, tuple[Any, ...]], ...] | None:
    """The forms that the items of a message may have, each with its paths; None where they may have others. Where the
    message is the item, it is one, whose place is nowhere.
    """
    if stream.each is None:
        return ((_FORMS.index("path"), ()),)
    if stream.forms is None:
        return None
    found = []
    for kind, paths in stream.forms.forms:
        place = _in_text(paths)
        if place is None:
            return None
        found.append((_FORMS.index(kind), place))
    return tuple(found)


def _in_text(paths: Sequence[ValuePath]) -> tuple[Any, ...] | None:
    """Paths as C is told of them; None where it cannot follow one of them in a text."""
    place = tuple((ROOTS.index(root), steps) for root, steps in paths)
    short = len(paths) <= native.most_paths and all(len(steps) <= native.most_steps for _, steps in paths)
    return place if short and _is_in_text(place) else None


def _symbol(stream: Stream) -> tuple[tuple[Any, ...] | None, bool] | None:
    """Where the text stands that says the symbol (nowhere: what was captured says it), and whether it may be a whole
    number; None where more says it.
    """
    direct = stream.symbol.direct
    if direct is None or direct.conversion is None or direct.conversion.kind != "text":
        return None
    if direct.paths and all(root == "state" for root, _ in direct.paths):
        return None, False
    place = _place(direct.source or direct.get)
    return None if place is None else (place, direct.source is None or direct.captured)


Leaf = tuple[tuple[Any, ...] | None, int, frozenset[Any] | None, tuple[tuple[bytes, bool], ...]]
"""Its place, what is asked of it, the values that count, what it may begin or end with: see `native/decisions.h`."""


def _leaf(path: ConditionPath) -> Leaf:
    """A leaf as C is told of it; its place is None where that leads elsewhere."""
    if path.null_at is not None:
        place = _place(path.null_at)
        return place if place is not None and len(place) == 1 else None, 2, None, ()
    if path.kind is not None:
        return _place(path.kind), 5, None, ()
    if path.captured is not None:
        return _place(path.captured), 4, None, ()
    affixes = tuple((one.text.encode(), one.last) for one in sorted(path.affixes or ()))
    place = _place(path.get)
    if place is None and path.head is not None and path.head.isascii():
        return ((_ITEM, (path.head,)),), 3, None, ()
    return place, int(path.presence), path.wanted, affixes


def _paths_of(stream: Stream) -> Iterable[ConditionPath] | None:
    """What decides the rules of a stream that are asked of a whole message; None where that is more than paths."""
    found: list[ConditionPath] = list(stream.forms.leaves) if stream.forms is not None else []
    begin = stream.carry.begin if stream.carry is not None else None
    for rule in (stream.snapshot, begin, stream.drop_when if stream.each is None else None, stream.other_order_when):
        if rule is None:
            continue
        if rule.paths is None:
            return None
        found += rule.paths
    return found


def _captured(rule: Match | None) -> bool:
    """Whether a rule asks for what was captured."""
    return rule is not None and any(leaf.captured is not None for leaf in rule.paths or ())


def _drops(stream: Stream) -> tuple[Leaf, ...] | None:
    """What decides which items of a message are dropped; None where that is more than paths."""
    rule = stream.drop_when if stream.each is not None else None
    if rule is None:
        return ()
    leaves = None if rule.paths is None else tuple(map(_leaf, rule.paths))
    return None if not leaves or len(leaves) > _LEAVES or any(place is None for place, *_ in leaves) else leaves
