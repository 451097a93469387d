"""The frames of a step: symbols and topics distributed over frames by the step's `per` and the venue's limits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

from k2conn import exactjson
from k2conn.engine.conversation.subscriptions import Subscription, SubscriptionState
from k2conn.errors import SettingsError
from k2conn.plan import Json, SendScope, Step, Symbol, Template

ScopeOf = Callable[..., SendScope]


@dataclass(slots=True)
class RequestFrame:
    """One frame to send and the subscriptions it requests; ``counter`` is the `$counter` value in it, if any.

    An empty body stands for a step that only waits: nothing is sent.
    """

    body: str | bytes
    """Text, or bytes for a binary frame."""
    subscriptions: list[Subscription]
    counter: int | None = None
    waiting: bool = False
    """Whether a reply to it is awaited."""
    held: bool = False
    """Whether it is not sent yet, because so many others wait for a reply."""

    @property
    def in_flight(self) -> bool:
        """Whether it was sent, and the time for its reply is not over."""
        pending = any(one.state == SubscriptionState.PENDING for one in self.subscriptions)
        return self.waiting and not self.held and (pending or not self.subscriptions)


def step_frames(
    step: Step, wanted: Sequence[Subscription], scope: SendScope, count: Callable[[], int], limit: int | None,
    begun: bool = False,
) -> list[RequestFrame]:
    """The frames of one step for some subscriptions; raises SettingsError where a frame exceeds the byte limit.
    ``begun``: the connection has had a frame of the step before, so that all of them are `later` ones.
    """
    if step.send is None:
        return [RequestFrame("", list(wanted))]
    if not step.streams:
        return [_frame(step.send, [], scope, count)]
    templates = (step.send,) if step.later is None else (step.send, step.later)
    bound = _bound(step, limit)
    groups = [part for group in _groups(step, wanted) for part in _fitting(templates, group, scope, bound)]
    return [_frame(templates[-1] if at or begun else step.send, group, scope, count) for at, group in enumerate(groups)]


def undo_frames(
    step: Step, wanted: Sequence[Subscription], scope: SendScope, count: Callable[[], int], limit: int | None = None
) -> list[str | bytes]:
    """The frames that unsubscribe a step's subscriptions, within the same limits as those that subscribe; raises
    SettingsError where a frame exceeds the byte limit.
    """
    if step.undo is None:
        return []
    bound = _bound(step, limit)
    groups = [part for group in _groups(step, wanted) for part in _fitting((step.undo,), group, scope, bound)]
    return [_frame(step.undo, group, scope, count).body for group in groups]


def _bound(step: Step, limit: int | None) -> int:
    """The maximum size of a frame of a step in bytes; ``limit`` is that of the connection."""
    return min(bound for bound in (step.batch_bytes, limit, 1 << 30) if bound)


def split(wanted: Sequence[Subscription]) -> tuple[list[Subscription], list[Subscription]] | None:
    """The two halves of what one frame requested, by topic or else by symbol; None where there is only one."""
    groups = [[one] for one in wanted] if any(one.topic is not None for one in wanted) else _by_symbol(wanted)
    if len(groups) < 2:
        return None
    half = len(groups) // 2
    return _joined(groups[:half]), _joined(groups[half:])


def _groups(step: Step, wanted: Sequence[Subscription]) -> list[list[Subscription]]:
    """The subscriptions of each frame: one topic, one symbol, a batch, or all."""
    if step.per == "topic":
        return [[one] for one in wanted]
    if step.per == "symbol":
        return _by_symbol(wanted)
    if not wanted:
        return []
    if step.batch is None:
        return [list(wanted)]
    if any(one.topic is not None for one in wanted):
        return [list(wanted[at : at + step.batch]) for at in range(0, len(wanted), step.batch)]
    symbols = _by_symbol(wanted)
    return [list(chain.from_iterable(symbols[at : at + step.batch])) for at in range(0, len(symbols), step.batch)]


def _joined(groups: Sequence[list[Subscription]]) -> list[Subscription]:
    return [one for group in groups for one in group]


def _by_symbol(wanted: Sequence[Subscription]) -> list[list[Subscription]]:
    groups: dict[str, list[Subscription]] = {}
    for one in wanted:
        groups.setdefault(one.symbol.native, []).append(one)
    return list(groups.values())


def _fitting(
    templates: Sequence[Template], group: list[Subscription], scope: SendScope, bound: int
) -> list[list[Subscription]]:
    """The group where its frame fits the byte limit, by each of the templates; else two halves, recursively."""
    trials = [_frame(send, group, scope, lambda: 10**6) for send in templates]
    if all(frame_size(trial.body) <= bound for trial in trials):
        return [group]
    if len(group) < 2:
        raise SettingsError(f"a frame for one subscription exceeds the venue's limit of {bound} bytes")
    half = len(group) // 2
    return _fitting(templates, group[:half], scope, bound) + _fitting(templates, group[half:], scope, bound)


def _frame(send: Template, group: list[Subscription], scope: SendScope, count: Callable[[], int]) -> RequestFrame:
    used: list[int] = []

    def counted() -> int:
        used.append(count())
        return used[-1]

    symbols: dict[str, Symbol] = {one.symbol.native: one.symbol for one in group}
    topics: list[Json] = []
    for one in group:
        if one.topic is not None and one.topic not in topics:
            topics.append(one.topic)
    value = send(scope._replace(counter=counted, symbols=tuple(symbols.values()), topics=tuple(topics)))
    return RequestFrame(frame_body(value), group, used[0] if used else None)


def frame_body(value: Json | bytes) -> str | bytes:
    """The body to send: bytes for a binary frame, text for any other value."""
    return value if isinstance(value, bytes) else frame_text(value)


def frame_size(body: str | bytes) -> int:
    """Bytes of a frame's body on the wire."""
    return len(body.encode()) if isinstance(body, str) else len(body)


def shown(body: str | bytes) -> str:
    """A frame's body in readable form."""
    if isinstance(body, str):
        return body
    try:
        return f"(binary) {body.decode()}"
    except UnicodeDecodeError:
        return f"(binary: {body.hex()})"


def frame_text(value: Json) -> str:
    """Text as it is; anything else as JSON."""
    return value if isinstance(value, str) else exactjson.encode(value).decode()
