"""structlog without rich: the one door to it.

It draws tracebacks with rich wherever rich is installed, and loads it for that, with all its lexers: 6 MB and a
twentieth of a second of every start. Ours are plain text.
"""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["structlog"]

_rich: Any = sys.modules.get("rich")
sys.modules["rich"] = None  # type: ignore[assignment]
try:
    import structlog
finally:
    if _rich is None:
        del sys.modules["rich"]
    else:
        sys.modules["rich"] = _rich
