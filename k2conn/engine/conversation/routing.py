"""Routing: which rule a message matches; control messages first, then streams, in the order of the connector file.

Most messages of a connection look alike. Where the values on a few plain paths decide all rules, the route is cached
by those values (the message's *signature*): one look-up for each path and one for the route. The keys of a message
say which of the paths it can have. Of a path that rules only compare with constants the signature has the value where
it is one of these, and otherwise whether it counts as true: a number that is another in each message does not matter.
Of other paths strings, booleans and absence can be cached; a message with another value there is tested rule by rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from k2conn import native
from k2conn.plan import ConditionPath, Connection, Getter, Match, Stream
from k2conn.scope import Scope

IGNORE, STREAM, ANSWER, REPLY, PONG, NOTICE, CAPTURE, SEVERAL, UNKNOWN = range(9)

Route = tuple[int, int]
"""(kind, index into that kind's list). SEVERAL: an index into `Router.several`."""
_NOTHING: Route = (UNKNOWN, 0)
_SHAPES = 100
"""Shapes of messages that are cached."""
_MOST = 2000
"""Signatures of each shape that are cached."""
_LONGEST = 200
"""Characters that a string in a signature may have."""


Leaf = tuple[Getter, bool, frozenset[Any] | None]
"""A path, whether only its presence matters, and what it is compared with."""
Signature = Callable[[Any, Scope], tuple[Any, ...] | None]
"""What a message's route is known by; None where it is not."""


class MessageShape(NamedTuple):
    """Messages with the same keys, or lists: the signature by the paths they can have, and the routes by signatures."""

    signature: Signature
    known: dict[tuple[Any, ...], Route]
    only: Getter | None
    """The path, where there is only one and its value matters."""
    texts: dict[str, Route]
    """The routes by the strings on that path."""


class Rule(NamedTuple):
    """``open``: a message that it recognises may be a stream's, too. ``also``: it is asked also for a message that a
    stream before it has recognised.
    """

    match: Match
    route: Route
    open: bool = False
    also: bool = False


class Router:
    """The rules of one connection."""

    def __init__(self, connection: Connection, streams: tuple[Stream, ...]) -> None:
        self._rules = tuple(_rules(connection, streams))
        self._single = not any(rule.open or rule.also for rule in self._rules)
        self._paths = _paths(self._rules)
        self.several: list[tuple[Route, ...]] = []
        """The routes of messages that have more than one, in their order."""
        self._shapes: dict[tuple[str, ...], MessageShape] = {}
        self._lists = _shape_of(leaf for leaf in self._paths or () if leaf.head is None)

    @property
    def paths(self) -> tuple[ConditionPath, ...] | None:
        """All paths that decide a route; None where more than paths decides."""
        return self._paths

    def route(self, message: Any, scope: Scope) -> Route:
        """The rule for a message; UNKNOWN where there is none."""
        kind = type(message)
        if self._paths is None or (kind is not dict and kind is not list):
            return self._evaluate(message, scope)
        if kind is list:
            shape = self._lists
        else:
            members = tuple(message)
            shape = self._shapes.get(members) or self._shape(members, self._paths)
        signature, known, only, texts = shape
        if only is not None:
            value = only(message, scope)
            if type(value) is str and value in texts:
                return texts[value]
        key = signature(message, scope)
        if key is None:
            return self._evaluate(message, scope)
        found = known.get(key)
        return found if found is not None else self._remember(shape, key, message, scope)

    def streams(self, route: Route) -> tuple[int, ...]:
        """The numbers of the streams that a route leads to: several where one message is many streams'."""
        kind, at = route
        if kind == SEVERAL:
            return tuple(number for one, number in self.several[at] if one == STREAM)
        return (at,) if kind == STREAM else ()

    def replies(self, route: Route) -> bool:
        """Whether a route leads to a step that waits for a reply, beside others or alone."""
        kind, at = route
        return kind == REPLY or (kind == SEVERAL and any(one == REPLY for one, _ in self.several[at]))

    def _shape(self, keys: tuple[str, ...], paths: tuple[ConditionPath, ...]) -> MessageShape:
        """The cache for messages with these keys."""
        shape = _shape_of(leaf for leaf in paths if leaf.head is None or leaf.head in keys)
        if len(self._shapes) < _SHAPES and len(keys) <= _LONGEST and all(len(key) <= _LONGEST for key in keys):
            self._shapes[keys] = shape
        return shape

    def _remember(self, shape: MessageShape, key: tuple[Any, ...], message: Any, scope: Scope) -> Route:
        found = self._evaluate(message, scope)
        if len(shape.known) < _MOST and all(type(part) is not str or len(part) <= _LONGEST for part in key):
            shape.known[key] = found
            if shape.only is not None and type(key[0]) is str:
                shape.texts[key[0]] = found
        return found

    def _evaluate(self, message: Any, scope: Scope) -> Route:
        if not self._single:
            return self._all(message, scope)
        for rule in self._rules:
            if rule.match.condition(message, scope):
                return rule.route
        return _NOTHING

    def _all(self, message: Any, scope: Scope) -> Route:
        """The route of a message that may have more than one. What a control message lets be captured is captured in
        any case, so captures only count beside a stream.
        """
        found: list[Route] = []
        replied = False
        for match, route, open_, also in self._rules:
            taken = bool(found) and found[-1][0] == STREAM
            again = replied and route[0] == REPLY  # one reply is judged for all steps at once
            if (not taken or also) and not again and match.condition(message, scope):
                found.append(route)
                if not open_ and route[0] != STREAM:
                    break
                replied = replied or route[0] == REPLY
        if not any(kind == STREAM for kind, _ in found):
            found = [one for one in found if one[0] != CAPTURE][:1]
        if len(found) < 2:
            return found[0] if found else _NOTHING
        routes = tuple(found)
        if routes not in self.several:
            self.several.append(routes)
        return (SEVERAL, self.several.index(routes))


def _rules(connection: Connection, streams: tuple[Stream, ...]) -> list[Rule]:
    rules: list[Rule] = []
    for at, answer in enumerate(connection.answer):
        rules.append(Rule(answer.when, (ANSWER, at)))
    if connection.heartbeat is not None and connection.heartbeat.answer is not None:
        rules.append(Rule(connection.heartbeat.answer, (PONG, 0)))
    for at, step in enumerate(connection.steps):
        if step.expect is not None:
            for match in (step.expect.accepted, step.expect.refused):
                if match is not None:
                    rules.append(Rule(match, (REPLY, at), open=step.expect.data))
    for at, notice in enumerate(connection.notices):
        rules.append(Rule(notice.when, (NOTICE, at)))
    for at, match in enumerate(connection.ignore):
        rules.append(Rule(match, (IGNORE, at)))
    for at, capture in enumerate(connection.capture):
        if capture.data and capture.when is not None:
            rules.append(Rule(capture.when, (CAPTURE, at), open=True))
    for at, stream in enumerate(streams):
        rules.append(Rule(stream.when, (STREAM, at), also=stream.also))
    return rules


def _paths(rules: tuple[Rule, ...]) -> tuple[ConditionPath, ...] | None:
    """All paths that decide a route; None where a rule depends on more than paths."""
    found: dict[str, ConditionPath] = {}
    for rule in rules:
        if rule.match.paths is None:
            return None
        for leaf in rule.match.paths:
            known = found.get(leaf.text)
            if known is None:
                found[leaf.text] = leaf
                continue
            wanted = affixes = None
            if leaf.wanted is not None and known.wanted is not None:
                wanted = leaf.wanted | known.wanted
            if leaf.affixes is not None and known.affixes is not None:
                affixes = leaf.affixes | known.affixes
            both = leaf.presence and known.presence
            found[leaf.text] = leaf._replace(presence=both, wanted=wanted, affixes=affixes)
    return tuple(found.values())


def _shape_of(paths: Iterable[ConditionPath]) -> MessageShape:
    own = tuple((leaf.get, leaf.presence, leaf.wanted) for leaf in paths)
    in_c = native.Signature is not None and len(own) <= native.most_leaves
    signature: Signature = native.Signature(own) if in_c else _signature(own)
    return MessageShape(signature, {}, own[0][0] if len(own) == 1 and not own[0][1] else None, {})


def _signature(leaves: tuple[Leaf, ...]) -> Signature:
    """The signature of messages that can have these paths."""

    def signature(message: Any, scope: Scope) -> tuple[Any, ...] | None:
        found: list[Any] = []
        for get, presence, wanted in leaves:
            value = get(message, scope)
            kind = type(value)
            if value is None:
                found.append(None)
            elif presence:
                found.append(True)
            elif wanted is not None:
                if kind is dict or kind is list or value not in wanted:
                    found.append(value is not False and value != "" and value != [] and value != {})
                else:
                    found.append(value if kind is str else (kind, value))
            elif kind is str:
                found.append(value)
            elif kind is bool:
                found.append((value,))
            else:
                return None
        return tuple(found)

    return signature
