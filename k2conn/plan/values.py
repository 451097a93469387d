"""Types of compiled expressions. They are called with a value and the runtime's `Scope`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from k2conn.scope import Json, Scope

__all__ = ["Condition", "Getter", "Json", "Reader"]

Getter = Callable[[Json, Scope], Json]
"""A compiled expression: (item or message, scope) -> value, None where nothing is found."""

Condition = Callable[[Json, Scope], bool]
"""A compiled condition on an item, a message or a symbol."""

Reader = Callable[[Json, Scope], Any]
"""A getter and its converter in one: the v2 field's value, ready for the encoder; raises RecordError."""
