"""What a transport asks for more than once, or runs, filled in: the next request of a poll, a program."""

from __future__ import annotations

import os
from collections.abc import Mapping

from k2conn import exactjson
from k2conn.clock import monotonic, wall_us
from k2conn.engine.conversation.session import Session
from k2conn.errors import SettingsError
from k2conn.runner.endpoint_group import ConnectorContext, EndpointGroup
from k2conn.runner.http_requests import sendable
from k2conn.transports import Polling, Program

ALWAYS = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")
"""Variables that every program has, where they are set."""


class Asking:
    """The requests of one connection that asks again and again: each knows what the answers before it taught."""

    def __init__(
        self, context: ConnectorContext, endpoint_group: EndpointGroup, session: Session, endpoint: int
    ) -> None:
        self._context = context
        self._endpoint_group = endpoint_group
        self._session = session
        self._endpoint = endpoint

    def polling(self) -> Polling | None:
        """None where the connection does not ask again and again."""
        poll = self._session.connection.poll
        if poll is None:
            return None
        limiter = self._context.connector_state.request_limiters[self._session.connection.name]
        return Polling(poll.every, poll.within, self._next, lambda: limiter.wait(monotonic()))

    def _next(self) -> tuple[str, str, Mapping[str, str], bytes | None]:
        poll, session, wall = self._session.connection.poll, self._session, wall_us()
        assert poll is not None
        url = self._endpoint_group.url(session, self._endpoint, wall)
        headers = sendable(session.headers(wall))
        body = None
        if poll.body is not None:
            body = exactjson.encode(poll.body(session.asked))
            headers.setdefault("Content-Type", "application/json")
        return poll.method, url, headers, body


def program_of(context: ConnectorContext, session: Session, wall: int) -> Program:
    """The program of a connection. SettingsError where the operator allows none; MissingVariable and RecordError as
    templates raise them.
    """
    given = context.overrides
    session.begin(wall)
    if not given.program:
        name = session.connection.url_texts[0].removeprefix("exec://")
        text = f"{name}: a program runs only where the operator says which: {given.program_by}=/path/to/it"
        raise SettingsError(text)
    words, scope = session.connection.program, session.asked
    arguments = words.arguments(scope) if words is not None and words.arguments is not None else []
    own = words.environment(scope) if words is not None and words.environment is not None else {}
    found = {name: os.environ[name] for name in ALWAYS if name in os.environ}
    found |= {name: str(value) for name, value in own.items()}
    command = (*given.program, *(exactjson.spell(one) if isinstance(one, list) else str(one) for one in arguments))
    if any("\0" in word for word in (*command, *found.values())):
        raise SettingsError("an argument or a variable of a program has no NUL character in it")
    return Program(command, found)
