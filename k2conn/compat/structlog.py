"""structlog without rich: the one door to it.

It draws tracebacks with rich wherever rich is installed, and loads it for that, with all its lexers: 6 MB and a
twentieth of a second of every start. Ours are plain text.

There is no setting for that, so rich is hidden while structlog is imported, and only then: whoever imports rich later
gets it. What remains is that structlog's own console renderer draws plain tracebacks in this process, which is the one
that k2conn configures.
"""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["VERSIONS", "structlog"]

VERSIONS = ">=24.1,<27"

_rich: Any = sys.modules.get("rich")
sys.modules["rich"] = None  # type: ignore[assignment]
try:
    import structlog
finally:
    if _rich is None:
        del sys.modules["rich"]
    else:
        sys.modules["rich"] = _rich
