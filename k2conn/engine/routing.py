"""Which rule a message falls under: control words first, then streams, in the order of the connector file.

Rules that are maps of equalities are found by the values at the paths they name, remembered by signature: one
dictionary look-up for each path and one for the route. A connector with conditions is asked in order.
"""

from __future__ import annotations

from typing import Any

from k2conn.plan import Connection, Match, Scope, Stream

IGNORE, STREAM, ANSWER, REPLY, PONG, NOTICE, UNKNOWN = range(7)

Route = tuple[int, int]
"""(kind, index into that kind's list)."""
_NOTHING: Route = (UNKNOWN, 0)
_MOST = 2000


class Router:
    """The rules of one connection."""

    def __init__(self, connection: Connection, streams: tuple[Stream, ...]) -> None:
        rules: list[tuple[Match, Route]] = []
        for at, answer in enumerate(connection.answers):
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
        self._rules = tuple(rules)
        self._getters = self._paths()
        self._known: dict[Any, Route] = {}

    def _paths(self) -> tuple[Any, ...] | None:
        """The getters of all paths the rules look at; None where a rule is a condition."""
        found: dict[str, Any] = {}
        for match, _ in self._rules:
            if match.equalities is None:
                return None
            found.update({text: get for text, get, _ in match.equalities})
        return tuple(found.values())

    def route(self, message: Any, scope: Scope) -> Route:
        """The rule for a message; UNKNOWN where there is none."""
        if self._getters is None:
            return self._ask(message, scope)
        signature = tuple([_mark(get(message, scope)) for get in self._getters])
        found = self._known.get(signature)
        if found is None:
            found = self._ask(message, scope)
            if len(self._known) < _MOST:
                self._known[signature] = found
        return found

    def _ask(self, message: Any, scope: Scope) -> Route:
        for match, route in self._rules:
            if match.condition(message, scope):
                return route
        return _NOTHING


def _mark(value: Any) -> Any:
    """A value as part of a signature: hashable, and true apart from 1."""
    kind = type(value)
    if kind is str or value is None:
        return value
    if kind is bool:
        return (value,)
    if kind is list or kind is dict:
        return kind
    return value
