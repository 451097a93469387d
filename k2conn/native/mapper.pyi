from typing import Any

MOST_DIGITS: int

class Program:
    def __init__(self, **described: Any) -> None: ...

class Mapper:
    def __init__(self, **described: Any) -> None: ...
    def make(self, item: Any, scope: Any, values: Any = ..., /) -> Any: ...
