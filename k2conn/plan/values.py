"""Types of compiled expressions and their values.

They are called with the runtime's `Scope`; the plan itself holds none, so it names the type for type checkers only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from k2conn.scope import Scope

Json = Any
"""A decoded JSON value: dict, list, str, int, Decimal (never float), bool or None."""

Getter = Callable[[Json, "Scope"], Json]
"""A compiled expression: (item or message, scope) -> value, None where nothing is found."""

Condition = Callable[[Json, "Scope"], bool]
"""A compiled condition on an item, a message or a symbol."""

Reader = Callable[[Json, "Scope"], Any]
"""A getter and its converter in one: the v2 field's value, ready for the encoder; raises RecordError."""
