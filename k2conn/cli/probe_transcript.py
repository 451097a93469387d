"""What passes on the connections of one connector, told as it happens: what is sent, what the venue says, how that was
understood, and the first records and dead letters.

Everything is bounded: of frames that look alike the first ones are shown, and each line has a longest length. What a
venue has said stays text: known secrets are hidden, control characters written out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from k2conn import exactjson
from k2conn.cli.record_text import record_text
from k2conn.codecs.decoding import UNREADABLE, Decode, decoder
from k2conn.engine.conversation.actions import NoteKind
from k2conn.engine.conversation.end_causes import EndCause
from k2conn.envelope import Envelope
from k2conn.observe import Observer, Opening, SessionPlace
from k2conn.plan import Plan
from k2conn.secret_mask import SECRETS
from k2conn.tools.letter_places import letter_place
from k2conn.tools.unrecognised_frames import UnrecognisedFrames, shape_of

LINE = 1000
"""Characters of a line."""
SHAPES = 60
"""Kinds of frames that are told apart."""
LOOKED_AT = 64 * 1024
"""Characters or bytes of a frame above which its kind is not looked for."""
NOTES = 40
"""Lines of each kind about the conversation."""
_SILENT = (NoteKind.FIRST_DATA,)
"""Notes that the lines beside them say, too."""


class ProbeTranscript(Observer):
    """Says what passes, each thing on a line; ``begun_at`` is in seconds of the monotonic clock.

    ``frames``: of each kind of frame so many are shown; ``records``: of each stream, and of each kind of dead letter.
    """

    def __init__(
        self, plan: Plan, say: Callable[[str], None], begun_at: float, frames: int = 2, records: int = 3
    ) -> None:
        self.opens = 0
        """Connections that were opened."""
        self.frames = 0
        self.sent_frames = 0
        self.failures: Counter[tuple[str, str]] = Counter()
        """Why connections could not be opened, or ended: cause and detail."""
        self.refusals: dict[tuple[str, str], str] = {}
        """Of subscriptions, by stream and symbol: the venue's words."""
        self.unanswered: dict[str, list[str]] = {}
        """By step: the symbols for which no answer came in time."""
        self.errors: Counter[str] = Counter()
        """The venue's words."""
        self.letters: dict[tuple[str, str, str], str] = {}
        """By stream, field and reason: where the file says what does not fit."""
        self.unknown = UnrecognisedFrames()
        self._plan = plan
        self._say = say
        self._begun_at = begun_at
        self._each_frames, self._each_records = frames, records
        self._decoders: dict[int, Decode] = {}
        """By the session's number, of connections whose frames are not plain text."""
        self._shown: Counter[object] = Counter()

    # -- what passes

    def opened(self, place: SessionPlace, opening: Opening, now: float, wall: int) -> None:
        """See `Observer`."""
        self.opens += 1
        connection = next(one for one in self._plan.connections if one.name == opening.connection)
        self._decoders[place.session] = decoder(connection.codec)
        names = ", ".join(one.native for one in opening.symbols)
        self._tell(now, "opened", f"{place.socket}: {names}")

    def failed(self, connector: str, socket: str, cause: str, detail: str, now: float, wall: int) -> None:
        """See `Observer`."""
        self.failures[cause, detail[:LINE]] += 1
        self._tell(now, "failed", f"{socket} could not be opened: {cause}{_behind(detail)}", NOTES)

    def sent(self, place: SessionPlace, frame: str | bytes, now: float, wall: int) -> None:
        """See `Observer`."""
        self.sent_frames += 1
        text = _text(frame, None)
        if self._is_shown(("sent", shape_of(text[:LOOKED_AT]))):
            self._tell(now, "sent", text)

    def received(self, place: SessionPlace, frames: Sequence[str | bytes], now: float, wall: int) -> None:
        """See `Observer`."""
        self.frames += len(frames)
        for frame in frames:
            long = len(frame) > LOOKED_AT
            text = _text(frame, None if long else self._decoders.get(place.session))
            if self._is_shown(("received", "long" if long else shape_of(text))):
                self._tell(now, "received", text)

    def answered(self, place: SessionPlace, request: int | None, answer: Any, now: float, wall: int) -> None:
        """See `Observer`."""
        what = "the list of instruments" if request is None else f"HTTP request {request + 1}"
        self._tell(now, "answered", f"{what}: {exactjson.excerpt(answer, LINE)}", NOTES)

    def noted(self, place: SessionPlace, kind: str, detail: Mapping[str, Any], now: float, wall: int) -> None:
        """See `Observer`."""
        if kind == NoteKind.REFUSED:
            self.refusals[str(detail["stream"]), str(detail["symbol"])] = str(detail.get("reason") or "")
        elif kind == NoteKind.UNACKNOWLEDGED:
            self.unanswered[str(detail["step"])] = list(detail["symbols"])
        elif kind == NoteKind.ERROR and (len(self.errors) < SHAPES or detail["reason"] in self.errors):
            self.errors[str(detail["reason"])] += 1
        if kind in _SILENT:
            return
        if kind == NoteKind.UNRECOGNISED:
            text = str(detail["message"])
            self.unknown.add(text)
            self._tell(now, "unknown", f"no rule of the file knows this: {text}", self._each_frames * 3)
        elif kind == NoteKind.SETTLED:
            counts = ", ".join(f"{count} {state}" for state, count in detail.items() if count)
            self._tell(now, "subscribed", counts or "nothing was asked for")
        else:
            words = (f"{name} {exactjson.spell(value)}" if name not in ("stream", "symbol") else str(value)
                     for name, value in detail.items() if value not in (None, ""))
            self._tell(now, kind, " ".join(words), NOTES)

    def published(self, connector: str, envelopes: Sequence[Envelope]) -> None:
        """See `Observer`."""
        for one in envelopes:
            if one.schema is None:
                self._letter(exactjson.decode(one.value))
                continue
            stream = getattr(one.account, "stream", one.schema.name)
            if self._is_shown(("record", stream), self._each_records):
                symbol = (one.key or b"").decode("utf-8", "replace")
                self._say(_line("", "record", f"{stream} {symbol} {record_text(one.schema.decode_plain(one.value))}"))

    def ended(self, place: SessionPlace, cause: str, detail: str, now: float, wall: int) -> None:
        """See `Observer`."""
        self._decoders.pop(place.session, None)
        if cause != EndCause.CLOSED or detail:
            self.failures[cause, detail[:LINE]] += 1
        self._tell(now, "ended", f"{place.socket}: {cause}{_behind(detail)}", NOTES)

    # -- lines

    def _letter(self, letter: Mapping[str, Any]) -> None:
        stream, field, reason = (str(letter.get(name) or "") for name in ("stream", "field", "reason"))
        kind = (stream, field, reason)
        where = letter_place(self._plan, letter)
        if len(self.letters) < SHAPES:
            self.letters.setdefault(kind, where or str(letter.get("detail") or ""))
        if self._is_shown(("dead", kind), self._each_records):
            detail = str(letter.get("detail") or "")
            words = " ".join(filter(None, (stream, field, f"{reason}:", detail)))
            value = letter.get("value")
            said = f" (the value: {exactjson.excerpt(value, 100)})" if value is not None else ""
            self._say(_line("", "dead", f"{words}{said}"))
            if where:
                self._say(_line("", "", where))

    def _tell(self, now: float, kind: str, text: str, most: int = 0) -> None:
        """A line; of its kind at most so many (0: any number)."""
        if not most or self._is_shown(("note", kind), most):
            self._say(_line(f"{max(0.0, now - self._begun_at):.3f}", kind, text))

    def _is_shown(self, kind: object, most: int | None = None) -> bool:
        """Whether one more of a kind is shown: the first few, and none of a kind that came when there were too many."""
        if kind not in self._shown and len(self._shown) >= SHAPES * 2:
            return False
        self._shown[kind] += 1
        return self._shown[kind] <= (self._each_frames if most is None else most)


def _text(frame: str | bytes, decode: Decode | None) -> str:
    """A frame as text: a binary one as the message that ``decode`` makes of it."""
    if isinstance(frame, str):
        return frame
    if decode is not None:
        try:
            return exactjson.spell(decode(frame))
        except UNREADABLE as error:
            return f"{len(frame)} bytes, unreadable ({error}): {frame[:40].hex(' ')}"
    return f"{len(frame)} bytes: {frame[:40].hex(' ')}"


def _behind(detail: str) -> str:
    return f": {detail}" if detail else ""


def _line(moment: str, kind: str, text: str) -> str:
    text = SECRETS.hide(text[: LINE * 4])
    shown = text if len(text) <= LINE else f"{text[:LINE]}... ({len(text)} characters)"
    return f"{moment:>8}  {kind:<10}  {shown}"
