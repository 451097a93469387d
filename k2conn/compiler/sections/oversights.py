"""What is right in a connector file and yet looks like an oversight: `validate` says it and takes the file as it is.

Where a condition or an expression may be meant, the file's own tests decide: what they show is not warned of.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from k2conn import exactjson
from k2conn.compiler.language.document import Path
from k2conn.compiler.language.durations import duration
from k2conn.errors import RecordError
from k2conn.plan import Connection, ConnectorTest, Json, Match, Plan, Stream
from k2conn.scope import Scope

Warn = Callable[[Path, str, str], None]

_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_NOW = re.compile(r"\$now_(s|ms|us)\b")
_LISTS = re.compile(r"\[\*?\]\Z|\[\?[^\[\]]*\]\Z")
"""The end of an expression that gives a list whatever the message is."""


def warn_of_oversights(spec: dict[str, Any], plan: Plan, warn: Warn) -> None:
    """Tells ``warn`` all of them: path, code and text. ``spec`` is what the plan was compiled of, without problems."""
    messages = list(_messages(plan))
    if not plan.tests:
        warn((), "missing", "the file has no tests: say in `tests:` what comes of a real frame; the mock learns of it")
    several = "connections" in spec
    for at, connection in enumerate(plan.connections):
        path: Path = ("connections", at) if several else ("connection",)
        said = spec["connections"][at] if several else spec["connection"]
        _unsubscribed(plan, connection, path, warn)
        _late_heartbeat(connection, path, warn)
        _forgotten_beginning(connection, path, warn)
        _end_of_a_frame(connection, said, path, warn)
        for condition, place in _conditions(connection, said, path):
            _bare_word(condition, place, messages, warn)
    for stream in plan.streams:
        _key_of_a_list(stream, messages, warn)
    for test in plan.tests:
        _answer_to_nobody(plan, test, spec, warn)


def _messages(plan: Plan) -> Iterator[Json]:
    """The messages of all tests, as far as they are JSON or text."""
    for test in plan.tests:
        for turn in test.dialogue:
            if turn.kind == "received":
                frame = _decoded(turn.value)
                yield frame
                for connection in plan.connections:
                    parts = _read(connection.each, frame) if connection.each is not None else None
                    yield from parts if isinstance(parts, list) else ()


def _decoded(frame: Json) -> Json:
    if not isinstance(frame, str):
        return frame
    try:
        return exactjson.decode(frame)
    except exactjson.JsonError:
        return frame


def _read(get: Callable[[Json, Scope], Json], message: Json) -> Json:
    """What an expression finds; None where it finds nothing or needs what only a live connection has."""
    try:
        return get(message, _scope(message))
    except (RecordError, LookupError):
        return None


def _scope(message: Json) -> Scope:
    scope = Scope()
    scope.message = message
    return scope


def _unsubscribed(plan: Plan, connection: Connection, path: Path, warn: Warn) -> None:
    """Streams that no step is for, beside others that one is for. An address may subscribe, too."""
    subscribed = {name for step in connection.steps for name in step.streams}
    if not subscribed or connection.url_uses_topics or connection.per == "symbol":
        return
    for name in connection.streams:
        if name not in subscribed:
            own = plan.stream(name)
            warn((*path, "steps"), "value", f"no step subscribes stream '{own.written}': name it in the `for` of the "
                                            "step that does, or it is never asked for")


def _late_heartbeat(connection: Connection, path: Path, warn: Warn) -> None:
    beat, stale = connection.heartbeat, connection.stale_after
    if beat is None or stale is None or "{$" in beat.every_text:
        return
    if duration(beat.every_text) >= stale:
        warn((*path, "heartbeat", "every"), "value",
             f"a heartbeat every {beat.every_text} keeps no quiet connection alive, which is ended after {stale:g} s "
             "without a frame (`stale_after`): say less here, or more there")


def _forgotten_beginning(connection: Connection, path: Path, warn: Warn) -> None:
    """What a connection asks for from its own beginning on: after a reconnect it is not that of the one before."""
    kept = {capture.into for capture in connection.capture if capture.keep}
    for name, text in connection.initial_texts.items():
        if _NOW.search(text) and name not in kept:
            warn((*path, "initial", name), "value",
                 f"every connection begins with a $state.{name} of its own, so that nobody asks for what happened "
                 f"since the last one: keep it, `capture: [{{when: ..., into: {name}, value: $state.{name}, "
                 "keep: true}]`")


def _end_of_a_frame(connection: Connection, said: dict[str, Any], path: Path, warn: Warn) -> None:
    """A text to be sent that holds what stands behind each frame: it is added, and so there would be two."""
    framing = connection.framing
    if framing is None or framing.kind not in ("lines", "delimiter"):
        return
    end = framing.delimiter.decode()
    for place, text in _sent_texts(said, path):
        if end in text:
            warn(place, "value", f"{end!r} ends a frame, and stands behind each that is sent: here it makes two of one")


def _sent_texts(said: dict[str, Any], path: Path) -> Iterator[tuple[Path, str]]:
    """What a connection sends as texts of the file."""
    lists = {word: said.get(word, ()) for word in ("steps", "answer")}
    places = [((*path, word, at), one) for word, rows in lists.items() for at, one in enumerate(rows)]
    if "heartbeat" in said:
        places.append(((*path, "heartbeat"), said["heartbeat"]))
    for place, one in places:
        for word in ("send", "later", "undo"):
            if isinstance(one.get(word), str):
                yield (*place, word), one[word]


def _conditions(connection: Connection, said: dict[str, Any], path: Path) -> Iterator[tuple[Match, Path]]:
    """The conditions on replies and answers, with their places."""
    for at, answer in enumerate(connection.answer):
        yield answer.when, (*path, "answer", at, "when")
    if connection.heartbeat is not None and connection.heartbeat.answer is not None:
        yield connection.heartbeat.answer, (*path, "heartbeat", "answer")
    for at, step in enumerate(connection.steps):
        if step.expect is not None and isinstance(said["steps"][at].get("expect"), dict):
            for word, match in (("accepted", step.expect.accepted), ("refused", step.expect.refused)):
                if match is not None:
                    yield match, (*path, "steps", at, "expect", word)


def _bare_word(match: Match, path: Path, messages: list[Json], warn: Warn) -> None:
    """A word alone is a key; whether a text was meant is seen where no message of the tests has that key."""
    word = match.text
    if _BARE.match(word) and not any(match.condition(message, _scope(message)) for message in messages):
        warn(path, "value", f"'{word}' holds for messages that have the key '{word}', and no test shows one: "
                            f'for the bare text {word} say {{"@": {word}}}')


def _key_of_a_list(stream: Stream, messages: list[Json], warn: Warn) -> None:
    """`$key` is there where `each` walks an object key by key."""
    if not stream.each_key or stream.inner:  # of several levels, one may give a list
        return
    if stream.each is None:
        what = "the stream has no `each`"
    elif _LISTS.search(stream.each_text) or any(
        isinstance(_read(stream.each, message), list)
        for message in messages if stream.when.condition(message, _scope(message))
    ):
        what = f"`each: {stream.each_text[:60]}` gives a list"
    else:
        return
    warn(("streams", stream.name, "fields"), "value",
         f"{what}, so $key is nothing: it is the key where `each` gives an object")


def _answer_to_nobody(plan: Plan, test: ConnectorTest, spec: dict[str, Any], warn: Warn) -> None:
    """Turns `answered` beyond the calls that are made before connecting."""
    calls = max((len(connection.before) for connection in plan.connections), default=0)
    calls += plan.symbols.list is not None
    number = next((at for at, one in enumerate(spec.get("tests", ())) if one.get("name") == test.name), None)
    if number is None:
        return
    answered = [at for at, turn in enumerate(spec["tests"][number].get("dialogue", ())) if "answered" in turn]
    for at in answered[calls:]:
        warn(("tests", number, "dialogue", at, "answered"), "value",
             f"nobody makes this call: the file makes {calls} before it connects (`before`)")
