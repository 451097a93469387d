"""Tests that run twice: with what is written in C, and without."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from k2conn import native


def both_ways(part: str) -> Callable[..., Any]:
    """A fixture for a whole file: all its tests without ``native``'s part, then with it."""

    @pytest.fixture(scope="module", autouse=True, params=[False, True], ids=["python", "c"])
    def in_c(request: pytest.FixtureRequest) -> Iterator[None]:
        if request.param and getattr(native, part) is None:
            pytest.skip("k2conn/native is not built here (no C compiler)")
        with pytest.MonkeyPatch.context() as patch:
            if not request.param:
                patch.setattr(native, part, None)
            yield

    return in_c
