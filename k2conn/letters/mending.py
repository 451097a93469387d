"""Maps dead frames again, with the connector file as it is today: which of them are records now?

Only the items that became dead letters are mapped: the others of the frame were published when it came. The frame is
received when it was, on a connection that had captured what it had, so that the records are those that would have been
made then, with the same ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from k2conn import exactjson
from k2conn.engine.accounting.dead_letter import VALUE_LIMIT, safe_excerpt
from k2conn.engine.accounting.ledger import NOWHERE
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.conversation.session import SessionContext
from k2conn.engine.conversation.session_ids import session_ids
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.envelope import Envelope
from k2conn.letters.letter import DeadFrame, Letter, received_at
from k2conn.plan import Connection, Match, Plan, Stream
from k2conn.scope import Scope

_SEED = "00000000-0000-0000-0000-000000000000"


class Mended(NamedTuple):
    """What became of a frame: its records (``envelopes``), the letters that it still gives, or why it cannot be mapped
    again.
    """

    envelopes: list[Envelope]
    still: list[dict[str, Any]]
    why_not: str = ""
    unrecognised: bool = False


_NOTHING = Mended([], [])


class Mender:
    """Maps the frames of one connector. ``state`` has the books of what it made."""

    def __init__(self, plan: Plan) -> None:
        self._chosen: frozenset[str] | None = None
        """The items to map, as letters show them; None: all."""
        streams = tuple(self._only_chosen(stream) for stream in plan.streams)
        self.plan = replace(plan, streams=streams)
        self.state = ConnectorState(self.plan, [stream.name for stream in streams], window=0)

    def mend(self, frame: DeadFrame) -> Mended:
        """One frame, with all of its letters."""
        first, raw = frame.first, frame.frame
        if why_not := _why_not(frame):
            return Mended([], [], why_not)
        assert first is not None
        assert raw is not None
        whole = [one for one in frame.letters if one.said.get("item") is None]
        self._chosen = None if whole else frozenset(str(one.said["item"]) for one in frame.letters)
        found = self._found(frame, first, raw)
        if found == _NOTHING and any(one.field == "each" for one in frame.letters):
            self._chosen = None  # what had no items is not met any more: another level of `each` was mended
            found = self._found(frame, first, raw)
        return found

    def _found(self, frame: DeadFrame, first: Letter, raw: str | bytes) -> Mended:
        best = Mended([], [], unrecognised=True)
        for connection in self.plan.connections:
            if frame.letters[0].stream not in ("", NOWHERE, *connection.streams):
                continue
            found = self._mapped(connection, raw, received_at(first.said), first.said.get("state"))
            if not found.unrecognised:
                return found
        return best

    def _mapped(self, connection: Connection, raw: str | bytes, wall: int, captured: Any) -> Mended:
        resolve = self.plan.symbols.resolve
        symbols = [found for name in self.plan.symbols.default if (found := resolve(name)) is not None]
        pipeline = FramePipeline(self.state, connection, symbols, SessionContext(session_ids(_SEED), _Anything()))
        if isinstance(captured, Mapping):
            pipeline.session.scope.state.update(captured)
        before = self.state.ledger.unrecognised
        envelopes, _ = pipeline.receive([raw], 0.0, wall)
        still = [exactjson.decode(one.value) for one in envelopes if one.dead]
        for one in envelopes:
            if one.dead and one.account is not None:
                one.account.settled(True)
        made = [one for one in envelopes if not one.dead]
        return Mended(made, still, unrecognised=self.state.ledger.unrecognised > before)

    def _only_chosen(self, stream: Stream) -> Stream:
        """A stream that drops all items but those that are to be mapped."""
        own = stream.drop_when

        def dropped(item: Any, scope: Scope) -> bool:
            if self._chosen is not None and not any(map(self._is_chosen, (item, *scope.around))):
                return True
            return own is not None and own.condition(item, scope)

        return replace(stream, drop_when=Match("not a dead letter's item", dropped), first_batch="keep")


    def _is_chosen(self, item: Any) -> bool:
        """Whether a letter is about this: an item, or what a level of `each` found none in."""
        shown = safe_excerpt(exactjson.excerpt(item, VALUE_LIMIT), VALUE_LIMIT) if item is not None else None
        return self._chosen is not None and shown in self._chosen


class _Anything(dict[str, str]):
    """The environment of a connection that is never opened."""

    def __missing__(self, name: str) -> str:
        return "not-set"


def _why_not(frame: DeadFrame) -> str:
    """Why a frame cannot be mapped again; empty where it can."""
    first = frame.first
    if first is None:
        return "the letter that carries the frame is not here"
    if first.said.get("frame_truncated"):
        return "the letter has the beginning of the frame only"
    if any("count" in one.said for one in frame.letters):
        return "it has more dead items than letters: which ones, nobody knows"
    if first.said.get("state_truncated"):
        return "what was captured on its connection did not fit into the letter"
    if "row" in first.said:
        return "it is a row of a file: k2conn load --again"
    old = [one for one in frame.letters if "item" not in one.said and one.stream not in ("", NOWHERE)]
    if any(one.field not in ("each", "frame") for one in old):
        return "an older version wrote the letter: which item of the frame it is, is not said"
    return ""
