"""Routing: which rule a message matches; control messages first, then streams, in the order of the connector file.

Most messages of a connection look alike. Where the values on a few plain paths decide all rules, the route is cached
by those values (the message's *signature*): one look-up for each path and one for the route. The keys of a message
say which of the paths it can have. Strings, booleans and absence can be cached; a message with any other value on a
deciding path is tested rule by rule.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from k2conn.plan import ConditionPath, Connection, Getter, Match, Stream
from k2conn.scope import Scope

IGNORE, STREAM, ANSWER, REPLY, PONG, NOTICE, UNKNOWN = range(7)

Route = tuple[int, int]
"""(kind, index into that kind's list)."""
_NOTHING: Route = (UNKNOWN, 0)
_SHAPES = 100
"""Shapes of messages that are cached."""
_MOST = 2000
"""Signatures of each shape that are cached."""
_LONGEST = 200
"""Characters that a string in a signature may have."""


class MessageShape(NamedTuple):
    """Messages with the same keys: the paths they can have (each with whether only its presence matters), and the
    routes by the values on those paths.
    """

    paths: tuple[tuple[Getter, bool], ...]
    known: dict[tuple[Any, ...], Route]
    only: Getter | None
    """The path, where there is only one and its value matters."""
    texts: dict[str, Route]
    """The routes by the strings on that path."""


class Router:
    """The rules of one connection."""

    def __init__(self, connection: Connection, streams: tuple[Stream, ...]) -> None:
        self._rules = tuple(_rules(connection, streams))
        self._paths = _paths(self._rules)
        self._shapes: dict[tuple[str, ...], MessageShape] = {}

    def route(self, message: Any, scope: Scope) -> Route:
        """The rule for a message; UNKNOWN where there is none."""
        if type(message) is not dict or self._paths is None:
            return self._evaluate(message, scope)
        members = tuple(message)
        shape = self._shapes.get(members) or self._shape(members, self._paths)
        paths, known, only, texts = shape
        if only is not None:
            value = only(message, scope)
            if type(value) is str and value in texts:
                return texts[value]
        signature = []
        for get, presence in paths:
            value = get(message, scope)
            kind = type(value)
            if value is None or kind is str:
                signature.append(True if presence and value is not None else value)
            elif presence:
                signature.append(True)
            elif kind is bool:
                signature.append((value,))
            else:
                return self._evaluate(message, scope)
        key = tuple(signature)
        found = known.get(key)
        return found if found is not None else self._remember(shape, key, message, scope)

    def _shape(self, keys: tuple[str, ...], paths: tuple[ConditionPath, ...]) -> MessageShape:
        """The cache for messages with these keys."""
        own = [(leaf.get, leaf.presence) for leaf in paths if leaf.head is None or leaf.head in keys]
        shape = MessageShape(tuple(own), {}, own[0][0] if len(own) == 1 and not own[0][1] else None, {})
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
        for match, route in self._rules:
            if match.condition(message, scope):
                return route
        return _NOTHING


def _rules(connection: Connection, streams: tuple[Stream, ...]) -> list[tuple[Match, Route]]:
    rules: list[tuple[Match, Route]] = []
    for at, answer in enumerate(connection.answer):
        rules.append((answer.when, (ANSWER, at)))
    if connection.heartbeat is not None and connection.heartbeat.answer is not None:
        rules.append((connection.heartbeat.answer, (PONG, 0)))
    for at, step in enumerate(connection.steps):
        if step.expect is not None:
            for match in (step.expect.accepted, step.expect.refused):
                if match is not None:
                    rules.append((match, (REPLY, at)))
    for at, notice in enumerate(connection.notices):
        rules.append((notice.when, (NOTICE, at)))
    for at, match in enumerate(connection.ignore):
        rules.append((match, (IGNORE, at)))
    for at, stream in enumerate(streams):
        rules.append((stream.when, (STREAM, at)))
    return rules


def _paths(rules: tuple[tuple[Match, Route], ...]) -> tuple[ConditionPath, ...] | None:
    """All paths that decide a route; None where a rule depends on more than paths."""
    found: dict[str, ConditionPath] = {}
    for match, _ in rules:
        if match.paths is None:
            return None
        for leaf in match.paths:
            known = found.get(leaf.text)
            found[leaf.text] = leaf._replace(presence=leaf.presence and (known is None or known.presence))
    return tuple(found.values())
