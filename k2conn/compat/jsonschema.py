"""jsonschema is imported without what it looks for beside itself.

Where rfc3987_syntax is installed, too, jsonschema imports it for a format that our schema does not have, and it makes
38 parsers, which takes two seconds. It is hidden as long as the import lasts, as if it were not there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

VERSIONS = ">=4.21,<5"

_SLOW = "rfc3987_syntax"


@contextmanager
def without_slow_parsers() -> Iterator[None]:
    """For the import."""
    hidden = _SLOW not in sys.modules
    if hidden:
        sys.modules[_SLOW] = None  # type: ignore[assignment]  # makes an ImportError of its import
    try:
        yield
    finally:
        if hidden:
            del sys.modules[_SLOW]
