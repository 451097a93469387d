"""The random ids that one session sends, made of one random number: who knows that can play the session again."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from itertools import count


def session_ids(seed: str) -> Callable[[], str]:
    """Ids of which no two are the same; for the same ``seed`` (a UUID) the same ones again. ValueError where that is
    none.
    """
    space, number = uuid.UUID(seed), count(1)
    return lambda: str(uuid.uuid5(space, str(next(number))))
