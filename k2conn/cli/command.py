"""How the commands read their options and show their help, as quickly as typer allows.

typer has pydantic read every option and rich draw every help page; importing the two takes longer than most commands
run. Here a value that already is what its option takes stays as it is, and help is plain text with bold headings.
"""

from __future__ import annotations

import re
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from k2conn.compat.typer import quickened

_EXAMPLE = "\n\nExample: "
_KEPT = "\b\n"
"""Before a paragraph that is not wrapped."""
VARIABLES = "Environment"
_HEADING = re.compile(r"^(\w+:)", re.MULTILINE)


class Command(TyperCommand):
    """One command."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Its arguments and options, `--help` among them."""
        return quickened(super().get_params(ctx))

    def get_help(self, ctx: Any) -> str:
        """The help page; the headings are bold where the output is a terminal."""
        return _with_headings(super().get_help(ctx))

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """What the command does; its example stays one line, so that it can be copied from a narrow terminal."""
        if self.help is not None and _KEPT not in self.help:
            self.help = self.help.replace(_EXAMPLE, f"\n\n{_KEPT}{_EXAMPLE.lstrip()}")
        super().format_help_text(ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """The environment variables that it reads."""
        _write_variables(formatter, self.name)


class CommandGroup(TyperGroup):
    """All commands."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The options before a command's name."""
        return quickened(super().get_params(ctx))

    def get_help(self, ctx: Any) -> str:
        """The help page; the headings are bold where the output is a terminal."""
        return _with_headings(super().get_help(ctx))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The commands with their first sentences, whole."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, _first_lines(one.help or "")) for name, one in found if one is not None])

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """The environment variables that all commands read."""
        _write_variables(formatter, None)


def _write_variables(formatter: Any, command: str | None) -> None:
    from k2conn.cli.command_variables import help_rows

    with formatter.section(VARIABLES):
        formatter.write_dl(list(help_rows(command)))


def _first_lines(text: str) -> str:
    return " ".join(text.strip().split("\n\n")[0].split())


def _with_headings(text: str) -> str:
    return _HEADING.sub(lambda heading: typer.style(heading[1], bold=True), text)
