"""Replies of the venue: those of the tests, adapted to the client's request, or made from the rules of `expect` where
the tests have none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from k2conn import exactjson
from k2conn.plan import Connection, Expect, Getter, Json, Match, Step
from k2conn.scope import Scope
from k2conn.tools.mock.learned_replies import LearnedReplies, LearnedReply
from k2conn.tools.mock.request_recognition import RecognizedRequest, RequestedSubscription
from k2conn.tools.mock.symbol_substitution import leaves, moves, substitute, widen

_PATH = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_PAIR = re.compile(rf"({_PATH.pattern}|@) ?(?:==?) ?(`[^`]*`|'[^']*'|[^,&]+?) *(?:,|&&|\Z)")
_HERE = "\ue001"
_REASON = "refused by the mock exchange"


class Replies:
    """Makes the replies of one connection."""

    def __init__(self, connection: Connection, learned: LearnedReplies) -> None:
        self.connection = connection
        self.learned = learned
        self._channel_ids: dict[tuple[str, str], int] = {}

    def accept(self, request: RecognizedRequest, wanted: Sequence[RequestedSubscription]) -> list[Json]:
        """The acknowledgements for the accepted part of a request."""
        expect = request.step.expect if request.step else None
        if expect is None or expect.accepted is None or (request.wanted and not wanted):
            return []
        reply = _best_reply(self.learned.accepted, request.step, wanted)
        if reply is not None:
            return [self._with_channel_id(one, of) for one, of in self._one_or_each(reply, request, wanted, expect)]
        made = [
            (synthesised(expect.accepted, expect, request, one), one) for one in self._each(expect, wanted)
        ]
        return [self._with_channel_id(message, one) for message, one in made if message is not None]

    def unasked(self, after: Step | None) -> list[Json]:
        """What the steps wait for that follow a step and send nothing themselves; after none: the first ones."""
        steps = self.connection.steps
        first = next((at + 1 for at, step in enumerate(steps) if step is after), 0)
        found = []
        for at, step in enumerate(steps[first:], first):
            if step.send is not None:
                break
            if at in self.learned.unasked:
                found.append(deepcopy(self.learned.unasked[at]))
            elif step.expect is not None and step.expect.accepted is not None:
                found.append(_built(step.expect.accepted))
        return found

    def refuse(self, request: RecognizedRequest, wanted: Sequence[RequestedSubscription]) -> tuple[list[Json], bool]:
        """The refusals of a request; and whether they name single symbols, so that the others are accepted."""
        expect = request.step.expect if request.step else None
        if expect is None or expect.refused is None or not wanted:
            return [], True
        reply = _best_reply(self.learned.refused, request.step, wanted)
        if reply is not None:
            single = _found(expect, reply.message)[0] is not None
            return [message for message, _ in self._one_or_each(reply, request, wanted, expect)], single
        single = bool(expect.symbol_text or expect.topic_text)
        each = list(wanted) if single else list(wanted[:1])
        made = [synthesised(expect.refused, expect, request, one) for one in each]
        return [message for message in made if message is not None], single

    def undo(self, request: RecognizedRequest) -> list[Json]:
        """The answers to an unsubscription; only where the tests show one."""
        reply = _best_reply(self.learned.undone, request.step, request.wanted)
        if reply is None:
            return []
        return [self._numbered(_substituted(reply, one), reply, request, None) for one in request.wanted[:1]]

    def pong(self, request: RecognizedRequest) -> list[Json]:
        """The answer to the client's heartbeat."""
        beat = self.connection.heartbeat
        if beat is None or beat.answer is None:
            return []
        if self.learned.pongs:
            reply = self.learned.pongs[0]
            return [self._numbered(deepcopy(reply.message), reply, request, None)]
        made = _echoed(_built(beat.answer), request)
        return [made] if beat.answer.condition(made, Scope()) else []

    def ping(self, now_ms: int) -> Json:
        """The venue's own ping, with the current time in it where it has a number to echo; None where it sends none."""
        for answer in self.connection.answer:
            shown = next((one for one in self.learned.pings if answer.when.condition(one, Scope())), None)
            made = deepcopy(shown) if shown is not None else _built(answer.when, now_ms)
            if not answer.when.condition(made, Scope()):
                continue
            for container, key in leaves(made):
                if type(container[key]) is int and container[key] > 1_000_000:
                    container[key] = now_ms
            return made if answer.when.condition(made, Scope()) else deepcopy(shown)
        return None

    # -- adapting the replies of the tests

    def _each(self, expect: Expect, wanted: Sequence[RequestedSubscription]) -> list[RequestedSubscription | None]:
        """The subscriptions that get a reply each: all, or one for the whole request."""
        if not wanted:
            return [None]
        return list(wanted) if expect.symbol or expect.topic else [wanted[0]]

    def _one_or_each(
        self, reply: LearnedReply, request: RecognizedRequest, wanted: Sequence[RequestedSubscription], expect: Expect
    ) -> list[tuple[Json, RequestedSubscription | None]]:
        """One reply for the request, or one for each symbol or topic, as in the tests."""
        if not wanted:
            return [(self._numbered(deepcopy(reply.message), reply, request, expect.reply_to), None)]
        found, by_topic = _found(expect, reply.message)
        if found is None or isinstance(found, list):
            message = self._widened(reply, wanted, by_topic) if found is not None else _substituted(reply, wanted[0])
            return [(self._numbered(message, reply, request, expect.reply_to), wanted[0])]
        keys = {exactjson.spell(one.topic) if by_topic else one.symbol.native: one for one in reversed(wanted)}
        return [
            (self._numbered(_substituted(reply, one), reply, request, expect.reply_to), one)
            for one in reversed(list(keys.values()))
        ]

    @staticmethod
    def _widened(reply: LearnedReply, wanted: Sequence[RequestedSubscription], by_topic: bool) -> Json:
        """One reply for many: its lists of symbols or topics become lists of the new ones."""
        def values(of: Sequence[RequestedSubscription]) -> list[Json]:
            found = [one.topic if by_topic else one.symbol.native for one in of]
            return list({exactjson.spell(value): value for value in found}.values())

        message = deepcopy(reply.message)
        widen(message, values(reply.request.wanted), [_HERE])
        message = _substituted(reply._replace(message=message), wanted[0])
        widen(message, [_HERE], values(wanted))
        return message

    def _numbered(
        self, message: Json, reply: LearnedReply, request: RecognizedRequest, reply_to: Getter | None
    ) -> Json:
        """The message with the request's number wherever the reply of the test repeats that of its request."""
        if request.counter is None or not isinstance(message, (dict, list)):
            return message
        before = reply.request
        keys = {key for container, key in leaves(before.frame) if container[key] == before.counter}
        for place in list(leaves(message)):
            container, key = place
            echoed = key in keys and exactjson.spell(container[key]) == exactjson.spell(before.counter)
            if echoed or (reply_to and moves(message, reply_to, place)):
                container[key] = str(request.counter) if isinstance(container[key], str) else request.counter
        return message

    def _with_channel_id(self, message: Json, wanted: RequestedSubscription | None) -> Json:
        """Gives each subscription a channel id of its own, where the connector captures one."""
        scope = Scope()
        for capture in self.connection.capture:
            if wanted is None or capture.key is None or not isinstance(message, (dict, list)):
                continue
            if capture.when is not None and not capture.when.condition(message, scope):
                continue
            at = self._channel_ids.setdefault((wanted.stream, wanted.symbol.native), len(self._channel_ids))
            for place in list(leaves(message)):
                container, key = place
                if type(container[key]) is int and moves(message, capture.key, place):
                    container[key] += at
        return message


def _best_reply(
    replies: Sequence[LearnedReply], step: Step | None, wanted: Sequence[RequestedSubscription]
) -> LearnedReply | None:
    """The best reply to adapt: of the same step, preferably of the same stream."""
    own = [reply for reply in replies if reply.request.step is step]
    streams = {one.stream for one in wanted}
    return min(own, key=lambda reply: not any(one.stream in streams for one in reply.request.wanted), default=None)


def _substituted(reply: LearnedReply, new: RequestedSubscription) -> Json:
    old = _subject(reply, new)
    return deepcopy(reply.message) if old is None else substitute(reply.message, old, new)


def _subject(reply: LearnedReply, new: RequestedSubscription) -> RequestedSubscription | None:
    """The subscription of the original request that its reply is about: the one that the plan reads from it, else one
    whose topic or symbol occurs in its text, preferably of the same stream.
    """
    own = sorted(reply.request.wanted, key=lambda one: one.stream != new.stream)
    expect = reply.request.step.expect if reply.request.step else None
    found, by_topic = _found(expect, reply.message) if expect else (None, False)
    for one in own if found is not None else ():
        if exactjson.spell(one.topic if by_topic else one.symbol.native) == exactjson.spell(found):
            return one
    text = exactjson.encode(reply.message).decode().lower()
    spelled = [one for one in own if exactjson.spell(one.topic or "\ue000").lower() in text]
    spelled += [one for one in own if one.symbol.native.lower() in text]
    return next(iter(spelled or own), None)


def _found(expect: Expect, message: Json) -> tuple[Json, bool]:
    """What a reply names, and whether that is topics; None where it names neither symbols nor topics."""
    scope = Scope()
    for getter, topics in ((expect.symbol, False), (expect.topic, True)):
        found = getter(message, scope) if getter else None
        if found is not None and found != []:
            return found, topics
    return None, False


# -- making replies from rules


def synthesised(match: Match, expect: Expect, request: RecognizedRequest, wanted: RequestedSubscription | None) -> Json:
    """A reply that ``match`` accepts, with symbol, topic and number where ``expect`` looks for them; None where that
    cannot be derived from the rules.
    """
    made = _echoed(_built(match), request)
    if isinstance(made, dict):
        for text, value in (
            (expect.symbol_text, wanted.symbol.native if wanted else None),
            (expect.topic_text, wanted.topic if wanted else None),
            (expect.reply_to_text, request.counter),
            (expect.reason_text, _REASON if match is expect.refused else None),
        ):
            path = text.split("||")[0].strip()
            if value is not None and _PATH.fullmatch(path):
                _put(made, path, value)
    return made if match.condition(made, Scope()) else None


def _built(match: Match, present: Json = 1) -> Json:
    """An object (or a text) that has the values of a rule; ``present`` where any value will do."""
    pairs: list[tuple[str, Any]]
    if match.equalities is not None:
        pairs = [(text, values[0]) for text, _, values in match.equalities]
    else:
        pairs = [(path, _literal(text, present)) for path, text in _PAIR.findall(match.text)]
    if not pairs and _PATH.fullmatch(match.text):
        pairs = [(match.text, present)]
    if pairs and pairs[0][0] == "@":
        return pairs[0][1]
    made: dict[str, Json] = {}
    for path, value in pairs:
        if value != "$absent" and _PATH.fullmatch(path):
            _put(made, path, value)
    return made


def _echoed(made: Json, request: RecognizedRequest) -> Json:
    """Adds the request's number under the request's own key, as venues do."""
    if isinstance(made, dict) and isinstance(request.frame, dict) and request.counter is not None:
        made |= {key: value for key, value in request.frame.items() if value == request.counter}
    return made


def _literal(text: str, present: Json) -> Json:
    text = text.strip()
    if text == "$present":
        return present
    if text[:1] == "'":
        return text[1:-1]
    try:
        return exactjson.decode(text.strip("`"))
    except exactjson.JsonError:
        return text


def _put(made: dict[str, Json], path: str, value: Json) -> None:
    names = path.split(".")
    for name in names[:-1]:
        inner = made.get(name)
        made = inner if isinstance(inner, dict) else made.setdefault(name, {}) if inner is None else _fresh(made, name)
    made[names[-1]] = value


def _fresh(made: dict[str, Json], name: str) -> dict[str, Json]:
    inner: dict[str, Json] = {}
    made[name] = inner
    return inner
