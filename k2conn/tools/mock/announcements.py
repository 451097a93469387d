"""What a venue says unasked once something is subscribed, and what its data cannot be read without: a scale, a number
of an instrument. Learned from the tests: messages from which the plan captures something, and that answer nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import NamedTuple

from k2conn import exactjson
from k2conn.plan import Json, Stream
from k2conn.tools.mock.request_recognition import RequestedSubscription, topic_of
from k2conn.tools.mock.symbol_substitution import substitute


class Announcement(NamedTuple):
    """Such a message of a test, with the names under which the plan keeps what it says."""

    message: Json
    into: tuple[str, ...]
    subject: RequestedSubscription | None
    """The subscription of the test that it names; None where it names none."""


def subject_of(message: Json, asked: Sequence[RequestedSubscription]) -> RequestedSubscription | None:
    """The subscription that a message names, by its topic or else by its symbol."""
    text = exactjson.encode(message).decode().lower()
    spelled = [one for one in asked if one.topic is not None and exactjson.spell(one.topic).lower() in text]
    named = [one for one in asked if one.symbol.native.lower() in text]
    return next(iter(spelled), None) or max(named, key=lambda one: len(one.symbol.native), default=None)


class Announcements:
    """The announcements of one connection, for any of its subscriptions."""

    def __init__(self, shown: Sequence[Announcement], streams: Sequence[Stream]) -> None:
        self._shown = shown
        self._streams = {stream.name: stream for stream in streams}

    def about(self, wanted: RequestedSubscription) -> list[Json]:
        """What is said of a subscription: what the tests show of its symbol, else of another one with its name put in.
        """
        found: list[Json] = []
        for into in dict.fromkeys(one.into for one in self._shown):
            same = [one for one in self._shown if one.into == into]
            named = [one for one in same if one.subject is not None]
            own = [one for one in named if one.subject and one.subject.symbol.native == wanted.symbol.native]
            found += [self._of(one, wanted) for one in same if one in (own or named[:1]) or one.subject is None]
        return found

    def _of(self, shown: Announcement, wanted: RequestedSubscription) -> Json:
        if shown.subject is None:
            return deepcopy(shown.message)
        topic = topic_of(self._streams[shown.subject.stream], wanted.symbol)
        return substitute(shown.message, shown.subject, wanted._replace(stream=shown.subject.stream, topic=topic))
