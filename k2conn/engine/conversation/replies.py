"""Interprets replies: whether a message accepts or refuses a step's request, and which subscriptions it is about."""

from __future__ import annotations

from collections.abc import Sequence

from k2conn import exactjson
from k2conn.engine.conversation.request_frames import RequestFrame
from k2conn.engine.conversation.subscriptions import Subscription
from k2conn.plan import Json, Step
from k2conn.scope import Scope


def verdict(step: Step, message: Json, scope: Scope) -> bool | None:
    """Whether a message refuses (True) or accepts (False) a step's request; None where it does neither."""
    expect = step.expect
    if expect is not None and expect.refused is not None and expect.refused.condition(message, scope):
        return True
    if expect is not None and expect.accepted is not None and expect.accepted.condition(message, scope):
        return False
    return None


def reason(step: Step, message: Json, scope: Scope) -> Json:
    """The venue's reason for a refusal; None where it gives none."""
    return step.expect.reason(message, scope) if step.expect and step.expect.reason else None


def is_final(step: Step, message: Json, scope: Scope) -> bool:
    """Whether a refusal is not worth asking again."""
    return step.expect is not None and step.expect.final is not None and step.expect.final.condition(message, scope)


def addressed(step: Step, frames: Sequence[RequestFrame], message: Json, scope: Scope) -> list[RequestFrame]:
    """The waiting frames of a step that a reply may be to: where the step says `reply_to`, the one whose counter the
    reply repeats, or none.
    """
    expect = step.expect
    assert expect is not None
    waiting = [frame for frame in frames if frame.waiting and not frame.held]
    if expect.reply_to is None:
        return waiting
    wanted = exactjson.spell(expect.reply_to(message, scope))
    return [frame for frame in waiting if frame.counter is not None and str(frame.counter) == wanted]


def speaks_of(step: Step, frames: Sequence[RequestFrame], message: Json, scope: Scope) -> list[Subscription]:
    """The subscriptions a reply to one of a step's frames is about: by its counter, topic or symbol, else the first
    waiting frame's. Where it is a whole frame's, the list is that frame's own.

    A topic says more than a symbol, which may have several of them. A reply without the number that `reply_to` is for
    is only believed where it names what it speaks of.
    """
    expect = step.expect
    assert expect is not None
    numbered = expect.reply_to is None or expect.reply_to(message, scope) is not None
    waiting = addressed(step, frames, message, scope) if numbered else [
        frame for frame in frames if frame.waiting and not frame.held
    ]
    candidates = [one for frame in waiting for one in frame.subscriptions]
    for getter, name_of in ((expect.topic, _topic), (expect.symbol, _native)):
        found = getter(message, scope) if getter else None
        if found is not None:
            names = {spelled(one) for one in (found if isinstance(found, list) else [found])}
            return [one for one in candidates if name_of(one) in names]
    return waiting[0].subscriptions if waiting and numbered else []


def _native(one: Subscription) -> str:
    return spelled(one.symbol.native)


def _topic(one: Subscription) -> str:
    return spelled(one.topic)


def spelled(name: Json) -> str:
    """A symbol or topic to compare by: without regard to case, and to the order of an object's keys."""
    if isinstance(name, dict):
        return exactjson.spell(dict(sorted((key.lower(), value) for key, value in name.items()))).lower()
    return exactjson.spell(name).lower()
