"""One instrument of a venue."""

from __future__ import annotations

from typing import Any, NamedTuple


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

    def described(self) -> dict[str, Any]:
        """As expressions and conditions see it: its own names, and beside them the form's further parts."""
        return {**self._asdict(), **dict(self.parts)}

    @property
    def price_currency(self) -> str:
        """What prices are in."""
        return self.currency or self.quote
