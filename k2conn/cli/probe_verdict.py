"""What came of a probe, and why no more: sentences for the author of a connector file. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from k2conn.cli.probe_transcript import ProbeTranscript
from k2conn.engine.accounting.figures import AccountFigures
from k2conn.engine.accounting.ledger import Ledger
from k2conn.engine.conversation.subscriptions import Subscription, SubscriptionState
from k2conn.plan import Plan

ALL_CAME, SOME_MISSING, DEAD, AWAY = 0, 1, 65, 69
_NAMED = 5
"""Things of a kind that are named; others are counted."""


class ProbeVerdict:
    """What a connector's books and its conversation show."""

    def __init__(
        self, plan: Plan, streams: Sequence[str], ledger: Ledger, told: ProbeTranscript,
        subscriptions: Sequence[Subscription],
    ) -> None:
        self._plan = plan
        self._ledger = ledger
        self._told = told
        self._subscriptions = subscriptions
        counted = ledger.by_stream()
        self._streams = {name: counted.get(name, ledger.totals(name)) for name in streams}

    @property
    def exit_code(self) -> int:
        """0: each stream gave records, and nothing is dead; else why not."""
        if not self._told.opens:
            return AWAY
        if self._ledger.totals()["dead_letters"]:
            return DEAD
        return ALL_CAME if all(one["received"] for one in self._streams.values()) else SOME_MISSING

    def lines(self) -> Iterator[str]:
        """The counts, then the reasons."""
        ledger = self._ledger
        yield (f"{ledger.frames} frames came, {self._told.sent_frames} were sent; {ledger.control} belong to the "
               f"conversation, {ledger.unrecognised} no rule knows, {ledger.malformed} cannot be read")
        for name, figures in self._streams.items():
            yield f"stream {name}: {_counted(figures)}"
        reasons = list(dict.fromkeys(self._reasons()))
        if reasons:
            yield "why:"
            yield from (f"  - {one}" for one in reasons)

    def _reasons(self) -> Iterator[str]:
        told = self._told
        for (cause, detail), count in told.failures.most_common(_NAMED):
            times = f", {count} times" if count > 1 else ""
            yield f"a connection could not be opened, or ended: {cause}{times}{f': {detail}' if detail else ''}"
        if not told.opens:
            return
        yield from self._subscribing()
        for words, count in told.errors.most_common(_NAMED):
            yield f"the venue reported an error{f', {count} times' if count > 1 else ''}: {words}"
        for (stream, field, reason), where in list(told.letters.items())[:_NAMED]:
            yield f"dead letters{f' of {stream}' if stream else ''}: {' '.join(filter(None, (field, reason)))}: {where}"
        if self._ledger.unrecognised:
            yield from told.unknown.samples()
        if not self._ledger.frames:
            yield self._nothing_heard()
            return
        for name, figures in self._streams.items():
            if not figures["received"]:
                yield self._nothing_of(name, figures)

    def _nothing_heard(self) -> str:
        if self._told.sent_frames:
            return "the venue answered nothing at all: are these the frames that it expects, at this address?"
        if all(one.transport == "http" for one in self._plan.connections):
            return "nothing came: is this the address, and does it name the symbols as the venue does?"
        return "nothing was sent, and nothing came: does the venue want to be asked (`steps`)?"

    def _subscribing(self) -> Iterator[str]:
        refusals = self._told.refusals
        for (stream, symbol), words in list(refusals.items())[:_NAMED]:
            yield f"the venue refused {stream} of {symbol}{f': {words}' if words else ''}"
        if len(refusals) > _NAMED:
            yield f"the venue refused {len(refusals) - _NAMED} more"
        for step, symbols in self._told.unanswered.items():
            names = ", ".join(symbols[:_NAMED]) + (", ..." if len(symbols) > _NAMED else "")
            yield (f"no answer to {step} came in time for {names}: an answer that `expect` does not know is among the "
                   "frames above")

    def _nothing_of(self, name: str, figures: AccountFigures) -> str:
        if figures["filtered"]:
            return f"stream {name}: all {figures['filtered']} items were left out (`drop_when`, snapshots, open states)"
        own = [one for one in self._subscriptions if one.stream == name]
        if own and all(one.state == SubscriptionState.REFUSED for one in own):
            return f"stream {name}: every subscription was refused"
        when = next((one.when.text for one in self._plan.streams if one.name == name), "")
        if self._ledger.unrecognised:
            return f"stream {name}: its `when` ({when}) held for no frame; those that no rule knows are above"
        confirmed = [one for one in own if one.state == SubscriptionState.CONFIRMED]
        if confirmed:
            return (f"stream {name}: {len(confirmed)} of {len(own)} subscriptions are confirmed, and no frame of it "
                    "came; nothing may happen there now (a quiet symbol, a closed market): a longer --seconds shows")
        return f"stream {name}: its `when` ({when}) held for no frame"


def _counted(figures: AccountFigures) -> str:
    words = [f"{figures['published']} records"]
    for name, text in (("duplicates", "duplicates"), ("dead_letters", "dead letters"), ("filtered", "left out"),
                       ("missing", "missing in gaps")):
        count = {**figures}[name]
        if count:
            words.append(f"{count} {text}")
    return ", ".join(words) if any(figures[name] for name in ("received", "filtered")) else "nothing"
