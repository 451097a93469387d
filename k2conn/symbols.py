"""One instrument of a venue."""

from __future__ import annotations

from typing import Any, NamedTuple

EVERY = "*"
"""Our spelling of what stands for all symbols of a venue; that of no instrument."""


class Symbol(NamedTuple):
    """One instrument: ``native`` is the exchange's spelling, ``record`` ours, ``quote`` the quote currency."""

    native: str
    record: str
    base: str
    quote: str
    parts: tuple[tuple[str, str], ...] = ()
    """Further parts of the native name by the rule's own words, such as ("expiry", "260327")."""
    asset_class: str = ""
    """Where a venue has several on one socket; empty: the connector's."""
    currency: str = ""
    """What prices are in, where it is not the quote currency; empty: the quote."""

    @property
    def is_every(self) -> bool:
        """Whether it is no instrument, but stands for all of a venue."""
        return self.record == EVERY

    @property
    def price_currency(self) -> str:
        """What prices are in."""
        return self.currency or self.quote

    def described(self) -> dict[str, Any]:
        """What expressions and conditions see of it: native, record, base, quote and the name's further parts."""
        return {**self._asdict(), **dict(self.parts)}
