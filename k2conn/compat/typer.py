"""Reading options without pydantic, which takes longer to import than most commands run.

typer keeps the reader of an option in a private place, and makes it when it is first needed. Ours stands there first;
whatever it cannot read is for typer's own, with its errors.
"""

from __future__ import annotations

import re
from typing import Any, get_args

VERSIONS = ">=0.15,<1"

_NUMBER = re.compile(r"-?[0-9]{1,9}", re.ASCII)


def quickened(parameters: list[Any]) -> list[Any]:
    """The parameters, each with our reader. A version of typer that keeps it elsewhere reads more slowly, and otherwise
    the same.
    """
    for one in parameters:
        if getattr(one, "_runtime_param", one) is None and hasattr(one, "type_descriptor"):
            one._runtime_param = _Ready(one)
    return parameters


def refusal(error: Exception) -> tuple[str, int] | None:
    """The text and the exit code of a refused command line, where that is what an exception says. By typer's version,
    they are click's or its own copies of those.
    """
    text = getattr(error, "format_message", None)
    return (str(text()), int(getattr(error, "exit_code", 2))) if callable(text) else None


class _Ready:
    """Passes a value that has its option's type, or is a whole number within its bounds; everything else is for typer's
    own reader, with its errors.
    """

    def __init__(self, parameter: Any) -> None:
        self._many: bool = parameter.multiple or parameter.nargs == -1
        annotation = parameter.type_descriptor.annotation
        self._type: Any = get_args(annotation)[0] if self._many and get_args(annotation) else annotation

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value for the command's function; typer's BadParameter where it is none."""
        if value is None:
            return () if self._many else None
        if self._many and all(isinstance(one, self._type) for one in value):
            return list(value)
        if not self._many and isinstance(value, self._type):
            return value
        if self._type is int and isinstance(value, str) and _NUMBER.fullmatch(value):
            number = int(value)
            if (param.min is None or number >= param.min) and (param.max is None or number <= param.max):
                return number
        param._runtime_param = None
        return param.get_runtime_param().coerce(value, param=param, ctx=ctx)
