from typing import Any

STEPS: int
PATHS: int
LEAVES: int

class Getter:
    place: tuple[Any, ...]
    def __init__(self, place: tuple[Any, ...]) -> None: ...
    def __call__(self, value: Any, scope: Any, /) -> Any: ...

class Signature:
    def __init__(self, leaves: tuple[Any, ...]) -> None: ...
    def __call__(self, message: Any, scope: Any, /) -> Any: ...
