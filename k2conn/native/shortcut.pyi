from typing import Any

MOST_DIGITS: int

class Shortcut:
    def __init__(self, **described: Any) -> None: ...
    def make(self, item: Any, scope: Any, /) -> Any: ...
