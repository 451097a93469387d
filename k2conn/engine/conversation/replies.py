"""Replies read: whether a message accepts or refuses what a step asked for, and which subscriptions it speaks of."""

from __future__ import annotations

from collections.abc import Sequence

from k2conn import exactjson
from k2conn.engine.conversation.request_frames import RequestFrame
from k2conn.engine.conversation.subscriptions import Subscription
from k2conn.plan import Json, Step
from k2conn.scope import Scope


def verdict(step: Step, message: Json, scope: Scope) -> bool | None:
    """Whether a message refuses (True) or accepts (False) what a step asked; None where it does neither."""
    expect = step.expect
    if expect is not None and expect.refused is not None and expect.refused.condition(message, scope):
        return True
    if expect is not None and expect.accepted is not None and expect.accepted.condition(message, scope):
        return False
    return None


def reason(step: Step, message: Json, scope: Scope) -> Json:
    """The venue's words for a refusal; None where it has none."""
    return step.expect.reason(message, scope) if step.expect and step.expect.reason else None


def speaks_of(step: Step, frames: Sequence[RequestFrame], message: Json, scope: Scope) -> list[Subscription]:
    """The subscriptions a reply to one of a step's frames is about: by its counter, symbol or topic, else the first
    waiting frame's. Where it is a whole frame's, the list is that frame's own.
    """
    expect = step.expect
    assert expect is not None
    waiting = [frame for frame in frames if frame.waiting]
    if expect.reply_to is not None:
        wanted = exactjson.spell(expect.reply_to(message, scope))
        waiting = [frame for frame in waiting if frame.counter is not None and str(frame.counter) == wanted]
    candidates = [one for frame in waiting for one in frame.subscriptions]
    for getter, name_of in ((expect.symbol, _native), (expect.topic, _topic)):
        found = getter(message, scope) if getter else None
        if found is not None:
            names = {spelled(one) for one in (found if isinstance(found, list) else [found])}
            return [one for one in candidates if name_of(one) in names]
    return waiting[0].subscriptions if waiting else []


def _native(one: Subscription) -> str:
    return spelled(one.symbol.native)


def _topic(one: Subscription) -> str:
    return spelled(one.topic)


def spelled(name: Json) -> str:
    """A symbol or topic to compare by: without regard to case, and to the order of an object's keys."""
    return exactjson.spell(dict(sorted(name.items())) if isinstance(name, dict) else name).lower()
