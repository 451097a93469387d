"""Whether a stream's messages are taken by a rule that comes before streams, so that it would never have a record.

Shown by a message with nothing but what the stream's `when` asks for. What a rule asks for beyond that is not judged:
an acknowledgement on the stream's own channel is the ordinary case.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from k2conn import exactjson
from k2conn.compiler.sections.reply_overlaps import stream_s_message
from k2conn.plan import Connection, Match
from k2conn.scope import Scope


def taken(connection: Connection, said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Stream by stream: its name and what to say of it. ``said``: what the file says of each stream."""
    for name in connection.streams:
        message = stream_s_message(said[name].get("when"))
        if message is None:
            continue
        for word, match, settled in _rules(connection):
            if match.condition(message, Scope()):
                how = f"{settled}, or say " if settled else ""
                shown = exactjson.spell(message)[:200]
                yield name, (f"its messages, such as {shown}, are taken by `{word}` of connection '{connection.name}', "
                             f"which comes first: {how}in one of the two what only the other has")


def _rules(connection: Connection) -> Iterator[tuple[str, Match, str]]:
    """The rules that come before streams; what lets a rule leave a message to them, too."""
    for answer in connection.answer:
        yield "answer", answer.when, ""
    if connection.heartbeat is not None and connection.heartbeat.answer is not None:
        yield "heartbeat.answer", connection.heartbeat.answer, ""
    for step in connection.steps:
        if step.expect is not None and not step.expect.data:
            for word, match in (("accepted", step.expect.accepted), ("refused", step.expect.refused)):
                if match is not None:
                    yield word, match, "say `data: true` beside it where it is both"
    for notice in connection.notices:
        yield "reconnect" if notice.reconnect else "errors", notice.when, ""
    for match in connection.ignore:
        yield "ignore", match, ""
