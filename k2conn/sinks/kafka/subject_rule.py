"""A subject's compatibility rule: its owner's, unless the user says one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from k2conn.errors import SinkError, Unreachable

CONFLICTS = 4
"""Times that a rule is set where other processes set it at the same moment."""
FORBIDDEN = (401, 403)


class Refused(SinkError):
    """A registry's answer that is no success and that trying again does not change."""

    def __init__(self, text: str, status: int, code: object) -> None:
        super().__init__(text)
        self.status = status
        self.code = code
        """The registry's own ``error_code``; None where it says none."""


class SubjectRule:
    """The rule of one subject (``name`` as it stands in a path); ``wanted`` "" leaves it alone.

    ``call(method, path, body, missing_ok)`` asks the registry: the decoded answer, None for a 404 that is
    ``missing_ok``; Refused, Unreachable.
    """

    def __init__(self, call: Callable[..., Any], name: str, wanted: str) -> None:
        self._call = call
        self._path = f"/config/{name}"
        self._wanted = wanted
        self._settled = not wanted
        self.denied = ""
        """Why the wanted rule could not be set, where we may not."""

    def set(self, exists: bool) -> None:
        """See that the wanted rule is set, if that was not done yet. Some registries keep rules only for subjects that
        exist: then it is done once the subject ``exists``.
        """
        if self._settled or self._own() == self._wanted:
            self._settled = True
            return
        for last in (*[False] * (CONFLICTS - 1), True):
            try:
                answer = self._call("PUT", self._path, {"compatibility": self._wanted}, not exists)
            except Refused as error:
                if error.status == 409 and not last:  # then the rule is there to be set again
                    continue
                if error.status not in FORBIDDEN:
                    raise
                self.denied, self._settled = str(error), True
                return
            self._settled = answer is not None
            return

    def told(self) -> str:
        """The rule as it is now, for people."""
        try:
            own = self._own()
            if own:
                return own
            everywhere = self._call("GET", "/config", None, True)
        except (SinkError, Unreachable):  # a report is not worth a failure
            return "unknown"
        return f"{_level(everywhere) or 'unknown'} (the registry's)"

    def _own(self) -> str:
        """The rule set on this subject; nothing where there is none, or where we may not read it."""
        try:
            return _level(self._call("GET", self._path, None, True))
        except Refused:
            return ""


def _level(answer: object) -> str:
    level = answer.get("compatibilityLevel", answer.get("compatibility")) if isinstance(answer, dict) else None
    return level if isinstance(level, str) else ""
