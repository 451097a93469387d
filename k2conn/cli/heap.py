"""The C library's heap, which keeps what was freed unless it is told not to."""

from __future__ import annotations

import ctypes
import sys

LARGE = 1024 * 1024
"""Bytes of a piece that the system takes back as soon as it is free."""
_M_MMAP_THRESHOLD = -3
"""As <malloc.h> has it."""


def give_back_large_pieces() -> bool:
    """Makes glibc return memory that large frames took. By itself it takes the first large piece that is freed for a
    sign to keep those that come, of up to 32 MiB, in the heap, where whatever is allocated behind them holds them.
    Whether that was possible: not with other C libraries.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(_M_MMAP_THRESHOLD, LARGE))
