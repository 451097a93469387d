"""Which records are asked for: by symbol, exchange, side, currency and time, the newest so many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from k2conn.errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Records of one type. Empty texts and None mean all; times are microseconds since 1970 UTC."""

    symbol: str = ""
    exchange: str = ""
    side: str = ""
    currency: str = ""
    interval: str = ""
    since: int | None = None
    """From this moment on."""
    until: int | None = None
    """Before this moment."""
    before: tuple[int, str] | None = None
    """Older than this record, by its time and message_id: where the page before ended."""
    limit: int | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.limit is not None and self.limit < 1:
            raise SettingsError(f"limit {self.limit} is not above 0")

    @property
    def texts(self) -> Mapping[str, str]:
        """The columns that must have a text, and which."""
        named = ("symbol", "exchange", "side", "currency", "interval")
        return {name: getattr(self, name) for name in named if getattr(self, name)}

    @property
    def latest(self) -> int | None:
        """The last moment that a record can be of."""
        ends = [one for one in (None if self.until is None else self.until - 1, self.before and self.before[0])
                if one is not None]
        return min(ends) if ends else None
