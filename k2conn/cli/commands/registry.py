"""Where the commands are registered: by the modules beside this one, each a subject."""

from __future__ import annotations

from functools import partial

import typer

from k2conn.cli.command import Command, CommandGroup

application = typer.Typer(
    name="k2conn",
    cls=CommandGroup,
    help="Exchange market data into Kafka, declared in YAML.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
command = partial(application.command, cls=Command)


def command_names() -> tuple[str, ...]:
    """Of all commands that are registered, in their order."""
    every = application.registered_commands
    return tuple(one.name or one.callback.__name__ for one in every if one.callback is not None)
