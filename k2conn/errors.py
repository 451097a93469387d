"""The error tree, sorted by what the caller does next.

::

    K2Error                    exit 70  (ours to fix, unless a child says otherwise)
     +-- SpecError             exit 78  fix the connector file
     +-- SettingsError         exit 2   fix the flags or the environment
     |    +-- MissingVariable           set the variable that it names
     |    +-- PluginError               update or uninstall the package that it names
     +-- Unreachable           exit 69  bring the dependency up
     +-- TransportError        exit 69  reconnect
     +-- RecordError           exit 70  write a dead letter, go on with the next record
     |    +-- EncodeError               a value that does not fit its schema
     +-- SinkError             exit 69  stop: this sink cannot go on

Anything that is not a ``K2Error`` is a bug of ours and ends the process loudly. Values of records may appear
in a ``RecordError``; secrets never appear in any of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar

REASONS = (
    "malformed-frame",
    "frame-too-large",
    "missing-field",
    "bad-number",
    "overflow",
    "bad-time",
    "unknown-side",
    "unknown-symbol",
    "unknown-schema",
    "bad-type",
    "all-zero",
    "record-too-large",
    "no-room",
    "refused-by-sink",
    "unmapped-message",
    "too-late",
    "bug",
)
"""Why a record became a dead letter: the whole list, so that it can be a metric's label."""

SHOWN = 200
"""Characters of a bad value that an error's text repeats."""

_COMPARED = 64
"""Characters of the longest word that is compared with the known ones."""
_NEAR = 0.65
"""How alike a near match is; below it the known values help more."""
_LISTED = 40


class K2Error(Exception):
    """Any failure that k2conn foresees."""

    exit_code: ClassVar[int] = 70


class SpecError(K2Error):
    """A connector file is wrong. ``problems`` are all of its problems, sorted; each prints itself as one
    line.
    """

    exit_code = 78

    def __init__(self, problems: Sequence[object]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class SettingsError(K2Error):
    """Flags or environment contradict each other, or name something that does not exist. ``problems`` are all of
    them.
    """

    exit_code = 2

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class MissingVariable(SettingsError):
    """A connector needs an environment variable that is not set; only its name is ever shown."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the connector needs the environment variable {name}, which is not set")
        self.name = name


class CollectedProblems:
    """Collects SettingsErrors, so that all are told at once."""

    def __init__(self) -> None:
        self._errors: list[SettingsError] = []

    @contextmanager
    def noting(self) -> Iterator[None]:
        """The block's SettingsError is kept for `finish`; what comes after it in the block is left out."""
        try:
            yield
        except SettingsError as error:
            self._errors.append(error)

    def __bool__(self) -> bool:
        return bool(self._errors)

    def finish(self) -> None:
        """Raises what was collected, as one."""
        if len(self._errors) == 1:
            raise self._errors[0]
        if self._errors:
            raise SettingsError(*dict.fromkeys(problem for error in self._errors for problem in error.problems))


class PluginError(SettingsError):
    """An installed package that extends k2conn cannot be used; the text names it."""


class Unreachable(K2Error):
    """A dependency did not answer within its bound; the text names its address and the reason."""

    exit_code = 69


class TransportError(K2Error):
    """A connection ended or could not be made; the session reconnects.

    ``cause`` is of a bounded set (a metric's label), ``delay`` the least number of seconds to stay away, ``unwelcome``
    whether the venue ended it because it wants less of us (a limit, a rule of its own).
    """

    exit_code = 69

    def __init__(self, cause: str, detail: str = "", delay: float = 0.0, unwelcome: bool = False) -> None:
        super().__init__(detail or cause)
        super().__init__(detail or cause)
        self.unwelcome = unwelcome
        self.cause = cause
        self.detail = detail
        self.delay = delay


class RecordError(K2Error):
    """One record cannot be made or published. Its neighbours are not touched.

    ``field`` is the v2 field (or the stream's own word), ``expression`` what the author wrote for it or None,
    ``value`` what was found, ``reason`` one of ``REASONS``, ``detail`` the text for people.
    """

    def __init__(
        self, field: str | None, expression: str | None, value: object, reason: str, detail: str
    ) -> None:
        if reason not in REASONS:
            raise ValueError(f"{reason!r} is not one of the reasons {', '.join(REASONS)}")
        super().__init__(detail)
        self.field = field
        self.expression = expression
        self.value = value
        self.reason = reason
        self.detail = detail

    def at(self, field: str, expression: str | None, value: object) -> RecordError:
        """The same error with its place filled in, where the raiser knew only the value."""
        if self.field is None:
            self.field = field
        if self.expression is None:
            self.expression = expression
        if self.value is None:
            self.value = value
        return self

    def __str__(self) -> str:
        return f"{self.field or 'record'}: {self.detail} (got {_shown(self.value)})"


class EncodeError(RecordError):
    """A value does not fit its field's schema type; nothing was written."""

    def __init__(self, field: str, value: object, reason: str, detail: str) -> None:
        super().__init__(field, None, value, reason, detail)


class SinkError(K2Error):
    """A sink can never go on, whatever is tried again."""

    exit_code = 69


class Superseded(SinkError):
    """Another process goes on with what this one did: what is held here is the other one's to send."""


def known(value: object, values: Iterable[str]) -> str:
    """The helpful end of a message: a near match, else the known values."""
    from difflib import get_close_matches

    names = list(dict.fromkeys(values))
    text = str(value)
    near = get_close_matches(text, names, n=1, cutoff=_NEAR) if len(text) <= _COMPARED else []
    if near:
        return f"; did you mean '{near[0]}'?"
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"; known: {', '.join(names[:_LISTED])}{more}" if names else ""


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
