"""The latest examples of what went wrong with a connector's data, for who looks on: dead letters with their frames, and
gap records.

They are made anyway; here a reference to them is kept. So it costs nothing on the way of a good record, and little in
memory: both are bounded, and of one kind of dead letter there are only a few, so that a rare one is not driven out by a
frequent one.
"""

from __future__ import annotations

from collections import deque

from k2conn.envelope import Envelope

KINDS = 12
"""Kinds of dead letters (stream, reason, field) of which there are examples; a further one takes the place of the one
that was quiet for longest.
"""
OF_A_KIND = 3
LETTER_BYTES = 256 * 1024
"""Bytes of all examples of a connector."""
GAPS = 200
"""Gap records of a connector; a gap has one when it is found and one when it is closed or given up."""

Kind = tuple[str, str, str]
"""Stream, reason, field."""


class LatestExamples:
    """Those of one connector."""

    def __init__(self) -> None:
        self.gaps: deque[Envelope] = deque(maxlen=GAPS)
        self._letters: dict[Kind, deque[bytes]] = {}
        """By kind, the one that had the latest letter last."""
        self._bytes = 0

    @property
    def letters(self) -> list[bytes]:
        """The documents of dead letters, each with its frame; within a kind the newest last."""
        return [one for kept in self._letters.values() for one in kept]

    def add_letter(self, kind: Kind, document: bytes) -> None:
        """A dead letter that carries its frame."""
        if len(document) > LETTER_BYTES:
            return
        kept = self._letters.pop(kind, None) or deque()
        if len(kept) == OF_A_KIND:
            self._bytes -= len(kept.popleft())
        kept.append(document)
        self._bytes += len(document)
        self._letters[kind] = kept
        while len(self._letters) > KINDS or self._bytes > LETTER_BYTES:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        kind, kept = next(iter(self._letters.items()))
        self._bytes -= len(kept.popleft())
        if not kept:
            del self._letters[kind]
