"""What k2conn can be told, and what it is told here."""

from __future__ import annotations

from typing import Annotated

import typer

from k2conn.cli.commands.options import CommandName
from k2conn.cli.commands.registry import command
from k2conn.cli.completion import words


@command()
def env(
    words: Annotated[
        list[str] | None, typer.Argument(help="Only those with these words in their names or groups, such as kafka.")
    ] = None,
    command: CommandName = None,
    set: Annotated[bool, typer.Option("--set", help="Only those that are set, with their values; no secret.")] = False,
    format: Annotated[
        str,
        typer.Option(
            "--format", autocompletion=words("table", "markdown", "json"), help="table, markdown or json."
        ),
    ] = "table",
) -> None:
    """List the environment variables: what each is for, its default, and which commands read it.

    Example: k2conn env kafka --command run
    """
    from k2conn.cli.env import run

    raise typer.Exit(run(words or (), command, set, format))
