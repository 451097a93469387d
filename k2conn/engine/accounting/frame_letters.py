"""The dead letters of one frame: bounded, however many of its items are bad.

The first one carries the frame and what was captured on its connection, all carry their own item and the frame's id.
Beyond the bound items are counted, and one last letter says how many there were and why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from k2conn import exactjson
from k2conn.engine.accounting.dead_letter import (
    DETAIL_LIMIT,
    RAW_LIMIT,
    STATE_LIMIT,
    VALUE_LIMIT,
    Origin,
    captured_state,
    dead_letter,
    frame_id,
    safe_excerpt,
    whole_frame,
)
from k2conn.engine.accounting.latest import LatestExamples
from k2conn.engine.accounting.ledger import NOWHERE, Account
from k2conn.envelope import Envelope
from k2conn.errors import RecordError
from k2conn.scope import Scope

MOST = 100
"""Dead letters of one frame that are written one by one."""
MOST_BYTES = 1024 * 1024
"""Bytes of all of them."""
_LARGEST = 2 * RAW_LIMIT + 2 * VALUE_LIMIT + DETAIL_LIMIT + STATE_LIMIT
"""No letter is larger: room that must be left for the next one, and for the last."""


class SharedAccount:
    """The accounts of the items that one last letter stands for, as one. What becomes of the letter becomes of all of
    them.
    """

    def __init__(self, stream: str, items: dict[Account, int]) -> None:
        self.stream = stream
        self.symbol = NOWHERE
        self._items = items
        self._spooled = 0
        self._lost = 0

    def settled(self, dead: bool, count: int = 1) -> None:
        """See `DeliveryAccount`."""
        for account, items in self._items.items():
            account.settled(dead, count * items)

    def not_wanted(self) -> None:
        """See `Account.not_wanted`."""
        for account, items in self._items.items():
            account.not_wanted(items)

    @property
    def spooled(self) -> int:
        """See `DeliveryAccount`."""
        return self._spooled

    @spooled.setter
    def spooled(self, number: int) -> None:
        for account, items in self._items.items():
            account.spooled += (number - self._spooled) * items
        self._spooled = number

    @property
    def lost(self) -> int:
        """See `DeliveryAccount`."""
        return self._lost

    @lost.setter
    def lost(self, number: int) -> None:
        for account, items in self._items.items():
            account.lost += (number - self._lost) * items
        self._lost = number


class FrameLetters:
    """Those of one frame, which was received at ``received_at`` (microseconds since the epoch); ``place`` says where it
    stands, if it is a row of a file; ``captured`` what was captured on its connection. The first of them is an example
    of the connector's, which keeps the ``latest``.
    """

    def __init__(
        self, frame: str | bytes, received_at: int, latest: LatestExamples,
        place: Mapping[str, Any] = MappingProxyType({}), captured: dict[str, Any] | None = None,
    ) -> None:
        self._latest = latest
        self._place = place
        self._captured = captured or {}
        self._frame = frame
        self._received_at = received_at
        self._id = frame_id(frame, received_at)
        self._written = 0
        self._bytes = 0
        self._items: dict[Account, int] = {}
        """Items that the last letter stands for."""
        self._reasons: Counter[str] = Counter()
        self._origin: Origin | None = None
        """That of the first such item."""
        self._detail = ""

    def add(
        self, origin: Origin, symbol: str, error: RecordError, account: Account, item: Any, out: list[Envelope]
    ) -> None:
        """One item that cannot become a record, whose account has already received it."""
        if self._written >= MOST or self._bytes > MOST_BYTES - 2 * _LARGEST:
            self.count(origin, error, account, 1)
            return
        frame = self._members()
        if item is not None:
            frame["item"] = safe_excerpt(exactjson.excerpt(item, VALUE_LIMIT), VALUE_LIMIT)
        letter = dead_letter(origin, symbol, error, self._received_at, account, frame)
        self._keep(origin, error, letter)
        self._written += 1
        self._bytes += len(letter.value)
        out.append(letter)

    def count(self, origin: Origin, error: RecordError, account: Account, items: int) -> None:
        """Some items that only the last letter tells of, whose account has already received them."""
        if self._origin is None:
            self._origin, self._detail = origin, error.detail
        self._items[account] = self._items.get(account, 0) + items
        self._reasons[error.reason] += items

    def finish(self, out: list[Envelope]) -> None:
        """The frame is at its end: the last letter, where there are items that have none."""
        if self._origin is None:
            return
        (most, _), *_ = self._reasons.most_common(1)
        number = self._reasons.total()
        parts = ", ".join(f"{reason} {count}" for reason, count in self._reasons.most_common())
        error = RecordError("frame", None, None, most, f"{number} more items of this frame: {parts}; {self._detail}")
        frame = self._members() | {"count": number, "reasons": dict(self._reasons)}
        account = SharedAccount(self._origin.stream, self._items)
        letter = dead_letter(self._origin, "", error, self._received_at, account, frame)
        self._keep(self._origin, error, letter)
        out.append(letter)

    def _keep(self, origin: Origin, error: RecordError, letter: Envelope) -> None:
        """The first letter, which has the frame, is an example."""
        if not self._written:
            self._latest.add_letter((origin.stream, error.reason, error.field or ""), letter.value)

    def _members(self) -> dict[str, Any]:
        """Which frame it is; the first letter has the frame itself."""
        found: dict[str, Any] = {**self._place, "frame_id": self._id}
        if self._written:
            return {**found, "frame": None}
        return {**found, **whole_frame(self._frame), **captured_state(self._captured, self._frame)}


def finish_letters(scope: Scope, out: list[Envelope]) -> None:
    """The frame whose dead letters a scope has is at its end."""
    letters: FrameLetters | None = scope.letters
    if letters is not None:
        scope.letters = None
        letters.finish(out)
