"""How a Python process of ours is started: by this Python, with nothing of the working folder on its import path.

`python -m` puts the folder that it is started in before everything else. Whoever can place a `json.py` beside a
connector file would have it run as us.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

SAFE_PATH = "PYTHONSAFEPATH"


def child_command(arguments: Sequence[str]) -> list[str]:
    """The command of a child; ``arguments`` are what follows `python`, such as ``-m k2conn run``."""
    return [sys.executable, "-P", *arguments]


def child_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """A child's environment, which its own children will have too."""
    return {**variables, SAFE_PATH: "1"}
