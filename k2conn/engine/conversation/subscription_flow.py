"""The requests of a connection, step by step, and which of them still wait for a reply.

A *round* goes through the steps once: each sends its frames (within the venue's rate), then waits for its replies. The
first round follows the opening of the connection and goes through all steps. A `change` of the subscriptions is a
round of its own, through the steps that subscribe and for the new subscriptions only; what is given up is taken back
when the new ones have been answered, so that no reply to an unsubscription is taken for one to a subscription. Only
where the venue's limit has no room for both it is taken back first. What was refused, unless for good, or not answered
is asked for again in a round of its own, after a growing delay. Rounds never overlap.

A reply belongs to the step and the frame that wait for it. A refusal that none waits for is an error of the venue: it
is reported, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from k2conn import exactjson
from k2conn.engine.conversation.actions import Action, Close, Note, NoteKind
from k2conn.engine.conversation.end_causes import EndCause
from k2conn.engine.conversation.outbox import Outbox
from k2conn.engine.conversation.renewals import StepRenewals
from k2conn.engine.conversation.replies import addressed, is_final, reason, speaks_of, spelled, verdict
from k2conn.engine.conversation.request_frames import RequestFrame, split, step_frames, undo_frames
from k2conn.engine.conversation.retries import SubscriptionRetries
from k2conn.engine.conversation.subscriptions import Subscription, Subscriptions, SubscriptionState
from k2conn.engine.symbol_state import forget
from k2conn.plan import Connection, Json, SendScope, Step, Symbol
from k2conn.scope import Scope


class SubscriptionChange:
    """A change in progress: what was added, what was removed, and whether that has been unsubscribed."""

    def __init__(self, added: list[Subscription], removed: list[Subscription]) -> None:
        self._shared: list[Subscription] = []
        self.added = added
        self.removed = removed
        self.keys = {one.key for one in added}
        """Keys of the subscriptions to request."""
        self.unsubscribed = False

    def share(self, every: Sequence[Subscription]) -> None:
        """One topic may serve several symbols: a symbol added to a subscribed topic needs no request, and a topic that
        another symbol still needs is not unsubscribed. ``every``: all wanted subscriptions.
        """
        before = (*self.removed, *(one for one in every if one.key not in self.keys))
        asked_for = [one for one in before if one.topic is not None and one.state != SubscriptionState.REFUSED]
        topics = {spelled(one.topic): one for one in asked_for}
        for one in self.added:
            other = topics.get(spelled(one.topic)) if one.topic is not None else None
            if other is not None:
                one.state, one.reason = other.state, other.reason
                self.keys.discard(one.key)
        wanted = {spelled(one.topic) for one in every if one.topic is not None}
        self._shared = [one for one in self.removed if one.topic is not None and spelled(one.topic) in wanted]

    @property
    def to_unsubscribe(self) -> list[Subscription]:
        """The removed subscriptions that still have to be unsubscribed."""
        if self.unsubscribed:
            return []
        return [one for one in self.removed if one.state != SubscriptionState.REFUSED and one not in self._shared]

    def summary(self) -> dict[str, list[str]]:
        """Native names of what was added and removed, and of what was added but refused."""
        refused = [one for one in self.added if one.state == SubscriptionState.REFUSED]
        return {"added": _names(self.added), "removed": _names(self.removed), "refused": _names(refused)}


class SubscriptionFlow:
    """The steps of one connection, and the replies to them. Times are seconds of a monotonic clock."""

    def __init__(
        self, connection: Connection, subscriptions: Subscriptions, outbox: Outbox, scope: Scope,
        send_scope: Callable[[], SendScope], count: Callable[[], int], places: int | None,
    ) -> None:
        """``send_scope`` returns what frames are built from, ``count`` the next `$counter`; ``places`` is how many
        symbols a connection may carry, None for any number.
        """
        self.settled = False
        """Whether the first round is done."""
        self.reply_by: float | None = None
        """The deadline of the current step's replies; None where none is awaited."""
        self._connection = connection
        self._subscriptions = subscriptions
        self._outbox = outbox
        self._scope = scope
        self._send_scope = send_scope
        self._count = count
        self._places = places
        self._begun = False
        self._at = -1
        self._reached = -1
        """The last step that was ever started."""
        self._frames: dict[int, list[RequestFrame]] = {}
        """By step: the frames of the latest round, then those of earlier ones that were never answered."""
        self._asked: list[RequestFrame] = []
        """The current step's frames of this round."""
        self._spoken: set[int] = set()
        """The steps, by their identity, of which the connection has had a frame."""
        self._change: SubscriptionChange | None = None
        self._only: set[tuple[str, str]] | None = None
        """What the round under way is for; None in the first round, which is for all, and between rounds."""
        self._retries = SubscriptionRetries()
        self.renewals = StepRenewals(connection.steps)
        """When set-up steps are sent again."""
        self._next: Sequence[Subscription] | None = None
        """The subscriptions to change to after the current round."""

    # -- rounds

    def begin(self, now: float, out: list[Action]) -> None:
        """The connection is open: the first round."""
        self._begun = True
        self._advance(now, out)

    @property
    def changing(self) -> bool:
        """Whether a change is in progress or waits for the current round."""
        return self._change is not None or self._next is not None

    def change(self, wanted: Sequence[Subscription], now: float, out: list[Action]) -> None:
        """Replaces the subscriptions; those that are in both sets keep their state."""
        if not self._begun:
            self._subscriptions.replace(wanted)
            return
        self._next = wanted
        if self.settled and self.reply_by is None:
            self._begin_change(wanted, now, out)

    def _begin_change(self, wanted: Sequence[Subscription], now: float, out: list[Action]) -> None:
        self._next = None
        before = {one.symbol.native for one in self._subscriptions.all}
        change = self._change = SubscriptionChange(*self._subscriptions.replace(wanted))
        for one in change.added:
            one.asked = now
            forget(self._scope.state, one.stream, one.symbol)
        change.share(self._subscriptions.all)
        self._only = change.keys
        for one in change.removed:
            self._retries.settle(one.key)
        self._drop_removed({one.key for one in change.removed})
        if self._places is not None and len(before | {one.symbol.native for one in change.added}) > self._places:
            self._unsubscribe(change)
        self._at = -1
        self._advance(now, out)

    @property
    def retry_at(self) -> float | None:
        """When something refused is to be asked for again; None where nothing is, or a round is under way."""
        busy = not self.settled or self._only is not None or self.reply_by is not None
        return None if busy else self._retries.deadline

    def retry(self, now: float, out: list[Action]) -> None:
        """Asks again for what was refused or not answered, and is due."""
        due = self._retries.take_due(now)
        failed = (SubscriptionState.REFUSED, SubscriptionState.UNACKNOWLEDGED)
        again = [one for one in self._subscriptions.all if one.key in due and one.state in failed]
        if not again:
            return
        for one in again:
            one.state, one.asked = SubscriptionState.PENDING, now
        self._only = {one.key for one in again}
        self._drop_removed(self._only)
        self._at = -1
        self._advance(now, out)

    def _drop_removed(self, removed: set[tuple[str, str]]) -> None:
        """Keeps only the frames that were never answered, without their removed subscriptions."""
        for at, frames in self._frames.items():
            for frame in frames:
                frame.subscriptions = [one for one in frame.subscriptions if one.key not in removed]
            set_up = not self._connection.steps[at].streams  # what waits there is a renewal
            self._frames[at] = [frame for frame in frames if frame.waiting and (frame.subscriptions or set_up)]

    def _unsubscribe(self, change: SubscriptionChange) -> None:
        for step in self._connection.steps:
            for text in self._undo_frames(step, change.to_unsubscribe):
                self._outbox.put(text, step.pause)
        change.unsubscribed = True

    def _advance(self, now: float, out: list[Action]) -> None:
        """Starts the next step, and those after it for as long as they wait for nothing."""
        while self._at + 1 < len(self._connection.steps):
            self._at += 1
            self._reached = max(self._reached, self._at)
            step = self._connection.steps[self._at]
            wanted = self._wanted(step)
            if not wanted and (step.streams or self._only is not None):
                continue
            self._asked = self._frames_of(step, wanted)
            self._frames[self._at] = [*self._asked, *self._frames.get(self._at, ())]
            if step.expect is not None and (not step.expect.first_data or step.expect.refused is not None):
                for frame in self._asked:
                    frame.waiting = True
            if step.expect is not None and not step.expect.first_data:
                for frame in self._asked:
                    frame.held = True
                self._release(now)
                return
            self._send(step, self._asked)
            self.renewals.stands(self._at, now, self._scope.state)
        self.reply_by = None
        self._end_round(now, out)

    def _send(self, step: Step, frames: Iterable[RequestFrame]) -> None:
        for frame in frames:
            frame.held = False
            if frame.body:
                self._outbox.put(frame.body, step.pause)

    def _release(self, now: float) -> None:
        """Sends those of the current step's frames that may wait for a reply beside the others; the time for replies
        begins anew with each.
        """
        step, most = self._connection.steps[self._at], self._connection.limits.unanswered
        held = [frame for frame in self._asked if frame.held]
        if most is not None:
            held = held[: max(0, most - sum(frame.in_flight for frame in self._asked))]
        if held:
            assert step.expect is not None
            self._send(step, held)
            self.reply_by = now + step.expect.within

    # -- renewals

    def renew(self, now: float, out: list[Action]) -> None:
        """Sends the set-up steps again that are due, those apart that calls come before."""
        late = self.renewals.unanswered(now)
        if late is not None:
            name = self._connection.steps[late].name
            out.append(Close(EndCause.UNACKNOWLEDGED, f"no answer to the renewal of {name} in time"))
            return
        for at in self.renewals.take_due(now):
            self._renew(at, now, out)

    def renew_called(self, now: float, out: list[Action]) -> None:
        """Sends those that calls come before: they were made."""
        for at in self.renewals.take_called():
            self._renew(at, now, out)

    def _renew(self, at: int, now: float, out: list[Action]) -> None:
        step, renewal = self._connection.steps[at], self.renewals.of(at)
        assert renewal is not None
        frames = self._frames_of(step if renewal.send is None else replace(step, send=renewal.send), [])
        for frame in frames:
            self._outbox.put(frame.body, step.pause)
        if step.expect is not None and not step.expect.first_data:
            for frame in frames:
                frame.waiting = True
            self._frames[at] = [*frames, *(one for one in self._frames.get(at, ()) if one.waiting)]
            self.renewals.sent(at, now + step.expect.within)
        else:
            self._renewed(at, now, out)

    def _renewed(self, at: int, now: float, out: list[Action]) -> None:
        self.renewals.stands(at, now, self._scope.state)
        out.append(Note(NoteKind.RENEWED, {"step": self._connection.steps[at].name}))

    def _end_round(self, now: float, out: list[Action]) -> None:
        """Ends the round."""
        change, self._change = self._change, None
        self._only = None
        if not self.settled:
            self.settled = True
            out.append(Note(NoteKind.SETTLED, {state: self._subscriptions.count(state) for state in SubscriptionState}))
        elif change is not None:
            self._unsubscribe(change)
            out.append(Note(NoteKind.CHANGED, change.summary()))
        if self._next is not None:
            self._begin_change(self._next, now, out)

    def _wanted(self, step: Step) -> list[Subscription]:
        """What this round asks for with a step; not what an earlier step of it was refused."""
        every = self._of(step, self._subscriptions.all)
        taken = [one for one in every if one.state != SubscriptionState.REFUSED]
        return taken if self._only is None else [one for one in taken if one.key in self._only]

    def _of(self, step: Step, every: Iterable[Subscription]) -> list[Subscription]:
        """Those of the given subscriptions that a step applies to."""
        found = [one for one in every if one.stream in step.streams]
        if step.symbols is not None:
            test = step.symbols.condition
            found = [one for one in found if test(_plain(one.symbol), self._scope)]
        return found

    # -- frames

    def _frames_of(self, step: Step, wanted: list[Subscription]) -> list[RequestFrame]:
        limit, begun = self._connection.limits.frame, id(step) in self._spoken
        frames = step_frames(step, wanted, self._send_scope(), self._count, limit, begun)
        if frames:
            self._spoken.add(id(step))
        return frames

    def _undo_frames(self, step: Step, every: Iterable[Subscription]) -> list[str | bytes]:
        limit = self._connection.limits.frame
        return undo_frames(step, self._of(step, every), self._send_scope(), self._count, limit)

    def all_frames(self) -> list[str | bytes]:
        """The frames of all steps, for a connection that is not open."""
        return [frame.body for step in self._connection.steps for frame in self._frames_of(step, self._wanted(step))]

    def unsubscribe_all(self) -> list[str | bytes]:
        """The frames that unsubscribe everything."""
        to_unsubscribe = self._change.to_unsubscribe if self._change is not None else []
        every = [*(one for one in self._subscriptions.all if one.state != SubscriptionState.REFUSED), *to_unsubscribe]
        return [text for step in self._connection.steps[: self._reached + 1] for text in self._undo_frames(step, every)]

    # -- replies

    def resolved(self, now: float, out: list[Action]) -> None:
        """Starts the next step if the current one has all its replies."""
        self._settle_heard()
        if self.reply_by is None:
            return
        for frame in self._asked:
            if frame.waiting and frame.subscriptions:
                frame.waiting = any(one.state == SubscriptionState.PENDING for one in frame.subscriptions)
        self._release(now)
        if not any(frame.waiting or frame.held for frame in self._asked):
            self.reply_by = None
            self._advance(now, out)

    def _settle_heard(self) -> None:
        """What has data, or was refused, no longer waits for a refusal, where nothing but that answers a frame."""
        for at, step in enumerate(self._connection.steps):
            if step.expect is not None and step.expect.first_data and step.expect.refused is not None:
                for frame in self._frames.get(at, ()):
                    frame.waiting = any(one.state == SubscriptionState.PENDING for one in frame.subscriptions)

    def expired(self, now: float, out: list[Action]) -> None:
        """Called when the current step did not get all its replies in time."""
        self.reply_by = None
        step = self._connection.steps[self._at]
        waited_for = [one for frame in self._asked if frame.waiting and not frame.held for one in frame.subscriptions]
        late = [one for one in waited_for if one.state == SubscriptionState.PENDING]
        alone = self._only is None and not self._subscriptions.count(SubscriptionState.CONFIRMED)
        if not step.streams or (late and alone):
            out.append(Close(EndCause.UNACKNOWLEDGED, f"no answer to {step.name} in time"))
            return
        for one in late:
            one.state = SubscriptionState.UNACKNOWLEDGED
            assert step.expect is not None
            self._retries.failed(one.key, now, False, step.expect.retry)
        out.append(Note(NoteKind.UNACKNOWLEDGED, {"step": step.name, "symbols": _names(late)}))
        self._release(now)
        if self.reply_by is None:
            self._advance(now, out)

    def reply(self, message: Json, now: float, out: list[Action]) -> None:
        """An acknowledgement or refusal: of the current step, or late of another one. What answers nothing that was
        asked for changes nothing; where it is a refusal, it is reported as an error.
        """
        steps = sorted(enumerate(self._connection.steps), key=lambda one: (one[0] != self._at, -one[0]))
        verdicts = [(at, step, verdict(step, message, self._scope)) for at, step in steps]
        for at, step, refused in verdicts:
            if refused is not None and self._answered(at, step, refused, message, now, out):
                return
        refusing = [step for _, step, refused in verdicts if refused]
        if refusing and not any(refused is False for _, _, refused in verdicts):
            reasons = (reason(step, message, self._scope) for step in refusing)
            words = next((found for found in reasons if found is not None), message)
            out.append(Note(NoteKind.ERROR, {"reason": exactjson.excerpt(words, 300)}))

    def _answered(self, at: int, step: Step, refused: bool, message: Json, now: float, out: list[Action]) -> bool:
        """A reply taken as one to a step; False where the step waits for none of the kind."""
        frames = self._frames.get(at, ())
        if not step.streams:
            waiting = addressed(step, frames, message, self._scope)
            if waiting:
                self._set_up(at, waiting, refused, message, now, out)
            return bool(waiting)
        touched = speaks_of(step, frames, message, self._scope)
        if not touched:
            return False
        if refused and self._halve(at, step, touched, now, out):
            return True
        for one in touched:
            if refused:
                self._refuse(one, step, message, now, out)
            else:
                self._confirm(one, out)
        self.resolved(now, out)
        return True

    def _halve(self, at: int, step: Step, touched: list[Subscription], now: float, out: list[Action]) -> bool:
        """Handles the refusal of a whole frame that does not say which subscription is at fault: each half is requested
        separately, so that in the end only the invalid ones are refused. False where there is nothing to halve.
        """
        frame = next((one for one in self._frames.get(at, ()) if one.subscriptions is touched), None)
        parts = split(touched)
        if frame is None or parts is None:
            return False
        frame.waiting = False
        current = any(frame is one for one in self._asked)
        for part in parts:
            for again in self._frames_of(step, part):
                again.waiting = again.held = True
                self._frames[at].append(again)
                if current:
                    self._asked.append(again)
                else:
                    self._send(step, [again])
        if at == self._at and step.expect is not None:
            self.reply_by = now + step.expect.within
            self._release(now)
        out.append(Note(NoteKind.HALVED, {"step": step.name, "symbols": _names(touched)}))
        return True

    def _set_up(
        self, at: int, waiting: Sequence[RequestFrame], refused: bool, message: Json, now: float, out: list[Action]
    ) -> None:
        """The reply to a step that subscribes nothing (a login), sent for the first time or again."""
        step = self._connection.steps[at]
        if refused:
            text = exactjson.excerpt(reason(step, message, self._scope), 300)
            out.append(Close(EndCause.REFUSED, f"{step.name}: {text}"))
            return
        for frame in waiting:
            frame.waiting = False
        if self.renewals.waits(at):
            self._renewed(at, now, out)
        else:
            self.renewals.stands(at, now, self._scope.state)
        self.resolved(now, out)

    def _confirm(self, one: Subscription, out: list[Action]) -> None:
        if one.state == SubscriptionState.CONFIRMED:
            return
        one.state = SubscriptionState.CONFIRMED
        detail: dict[str, Json] = {"stream": one.stream, "symbol": one.symbol.native}
        if failures := self._retries.failures(one.key):
            detail["after_failures"] = failures
        self._retries.settle(one.key)
        out.append(Note(NoteKind.CONFIRMED, detail))

    def _refuse(self, one: Subscription, step: Step, message: Json, now: float, out: list[Action]) -> None:
        if one.state == SubscriptionState.REFUSED:
            return
        why = reason(step, message, self._scope)
        one.state = SubscriptionState.REFUSED
        one.reason = exactjson.excerpt(why, 300) if why is not None else ""
        assert step.expect is not None
        again = self._retries.failed(one.key, now, is_final(step, message, self._scope), step.expect.retry)
        detail: dict[str, Json] = {"stream": one.stream, "symbol": one.symbol.native, "reason": one.reason}
        if not again:
            detail["final"] = True
        if (times := self._retries.failures(one.key)) > 1:
            detail["times"] = times
        out.append(Note(NoteKind.REFUSED, detail))
        if self._subscriptions.count(SubscriptionState.REFUSED) == len(self._subscriptions.all):
            out.append(Close(EndCause.REFUSED, one.reason))


def _names(every: Iterable[Subscription]) -> list[str]:
    """Native names, each once."""
    return list(dict.fromkeys(one.symbol.native for one in every))


def _plain(symbol: Symbol) -> dict[str, Json]:
    return {**symbol._asdict(), **dict(symbol.parts)}
