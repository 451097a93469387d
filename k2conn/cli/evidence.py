"""What a connector file rests on, in words."""

from __future__ import annotations

_WORDS = {
    "recorded": "frames that the venue sent, which are mapped in tests",
    "documented": "the venue's public documentation",
    "memory": "memory alone: nothing was looked up",
}


def rests_on(evidence: str) -> str:
    """The word `evidence` of a file, explained; where it is missing, that."""
    return f"{evidence}: {_WORDS[evidence]}" if evidence else "(not said)"
