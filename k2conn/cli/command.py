"""How the commands read their options and show their help, as quickly as typer allows.

typer has pydantic read every option and rich draw every help page; importing the two takes longer than most commands
run. Here a value that already is what its option takes stays as it is, and help is plain text with bold headings.
"""

from __future__ import annotations

import re
from typing import Any, get_args

import typer
from typer.core import TyperCommand, TyperGroup

_NUMBER = re.compile(r"-?[0-9]{1,9}", re.ASCII)
_HEADING = re.compile(r"^(\w+:)", re.MULTILINE)


class Command(TyperCommand):
    """One command."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Its arguments and options, `--help` among them."""
        return _quickened(super().get_params(ctx))

    def get_help(self, ctx: Any) -> str:
        """The help page; the headings are bold where the output is a terminal."""
        return _with_headings(super().get_help(ctx))


class CommandGroup(TyperGroup):
    """All commands."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The options before a command's name."""
        return _quickened(super().get_params(ctx))

    def get_help(self, ctx: Any) -> str:
        """The help page; the headings are bold where the output is a terminal."""
        return _with_headings(super().get_help(ctx))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The commands with their first sentences, whole."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, _first_lines(one.help or "")) for name, one in found if one is not None])


def _first_lines(text: str) -> str:
    return " ".join(text.strip().split("\n\n")[0].split())


def _with_headings(text: str) -> str:
    return _HEADING.sub(lambda heading: typer.style(heading[1], bold=True), text)


def _quickened(parameters: list[Any]) -> list[Any]:
    """Where typer keeps the reader of an option (made, with pydantic, when it is first needed), ours stands first.

    The name is private to typer: under another one, reading is slower and otherwise the same.
    """
    for one in parameters:
        if getattr(one, "_runtime_param", one) is None and hasattr(one, "type_descriptor"):
            one._runtime_param = _Ready(one)
    return parameters


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
