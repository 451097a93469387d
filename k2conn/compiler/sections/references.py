"""The id of another record that a record is about, such as the trade that is corrected."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from k2conn.plan import Field
from k2conn.scope import Scope


def referring(field: Field, exchange: str) -> Field:
    """The field with the venue's id spelt as that record has its own: behind the exchange's name."""
    prefix, read = f"{exchange}-", field.read

    def prefixed(item: Any, scope: Scope) -> str | None:
        own = read(item, scope)
        return None if own is None else prefix + own

    words = f"{field.converter}, behind {prefix}"
    return replace(field, read=prefixed, converter=words, direct=None, joined=None)
