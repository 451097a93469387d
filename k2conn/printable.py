"""A stranger's text made fit to be shown: on a terminal, in a page, in a line of a log."""

from __future__ import annotations


def visible(text: str) -> str:
    """A text on one line, with its control characters written out: it moves no cursor, turns no direction and begins no
    line of its own.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)
