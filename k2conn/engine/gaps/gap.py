"""A gap: what is missing of one stream of one symbol, or of one connection."""

from __future__ import annotations

from dataclasses import dataclass

from k2conn.engine.gaps.gap_states import BackfillStatus, GapCause


@dataclass(slots=True)
class Gap:
    """Numbers ``first`` to ``last`` (both included) that were not received on one stream of one symbol or connection.

    ``missing`` is how many are still missing, ``count`` how many were; None where that cannot be told: numbers that do
    not count records (linked, where ``first`` was received), or no numbers at all (``first`` and ``last`` are None).
    ``from_us`` and ``to_us`` are the event times of the records before and after, 0 where they are not known.
    """

    stream: str
    key: str
    first: int | None
    last: int | None
    since_us: int
    cause: GapCause
    count: int | None
    missing: int | None
    reported: int | None = None
    """How many were missing when the gap was reported; None before."""
    from_us: int = 0
    to_us: int = 0
    recovered: int = 0
    """How many records were fetched."""
    backfill: BackfillStatus = BackfillStatus.NONE

    @property
    def open(self) -> bool:
        """Whether something is still missing, as far as can be told."""
        return self.missing is None or self.missing > 0
