"""What a command says beside its output, on standard error: lines for people, or (`k2conn run --daemon`) JSON objects.

Where a machine reads the log, every line is one JSON object, whatever ends the process: a refused flag, a wrong file,
the final figures, a bug.
"""

from __future__ import annotations

import codecs
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from k2conn.printable import visible
from k2conn.secret_mask import SECRETS

_ESCAPED = "k2conn-escaped"
_for_machines = False


def for_machines(arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Whether a command line asks for JSON; from now on `say` and `complain` give it."""
    global _for_machines
    form = environment.get("K2_LOG_FORMAT", "").strip().lower()
    runs = next((word for word in arguments if not word.startswith("-")), "") in ("run", "serve")
    _for_machines = runs and (form == "json" if form else "--daemon" in arguments)
    return _for_machines


def say(text: str, **fields: object) -> None:
    """A line; ``fields`` are what it says, for machines."""
    _write("info", text, fields)


def complain(*lines: str, **fields: object) -> None:
    """Lines about something wrong."""
    _write("error", "\n".join(lines), fields)


def show(*lines: str, error: bool = False) -> None:
    """Lines of a command's output as people read it, or beside it on standard error."""
    for text in lines:
        print(visible(text), file=sys.stderr if error else sys.stdout, flush=True)


def show_json(value: object, error: bool = False) -> None:
    """A value as a line of JSON, that does nothing to a terminal either."""
    from k2conn import exactjson  # not for those who only print help

    text = exactjson.encode(value).decode()
    print(text if text.isprintable() else "".join(one if one.isprintable() else _unit(one) for one in text),
          file=sys.stderr if error else sys.stdout)


def _write(level: str, text: str, fields: Mapping[str, object]) -> None:
    text, fields = SECRETS.hide(text), SECRETS.hide(fields)
    if not _for_machines:
        show(*text.split("\n"), error=True)
        return
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    print(json.dumps({**fields, "event": text, "level": level, "timestamp": now}, default=str), file=sys.stderr)


def spell_everything() -> None:
    """Standard output and error take any text: what their encoding lacks (a terminal that is not UTF-8) is written as
    ``\\uXXXX``, which is the same text within JSON.
    """
    codecs.register_error(_ESCAPED, _escaped)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_ESCAPED)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_unit, error.object[error.start : error.end])), error.end


def _unit(one: str) -> str:
    """A character as JSON escapes it."""
    units = one.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
