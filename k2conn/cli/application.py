"""The program: all commands, and the options before a command's name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from k2conn.cli.commands import authoring, downstream, looking, running, settings
from k2conn.cli.commands.registry import application as application

SUBJECTS = (running, looking, authoring, downstream, settings)
"""Importing one registers its commands."""


def _version(wanted: bool) -> None:
    if wanted:
        from k2conn import __version__

        typer.echo(f"k2conn {__version__}")
        raise typer.Exit


def _variables(files: list[Path] | None) -> list[Path] | None:
    """What the files say where the environment says nothing, for the whole process and its children."""
    if files:
        from k2conn.settings.env_file import read_env_file

        for variables in map(read_env_file, files):
            for name, value in variables.items():
                os.environ.setdefault(name, value)
    return files


@application.callback()
def _root(
    env_file: Annotated[
        list[Path] | None, typer.Option(
            "--env-file", metavar="FILE", callback=_variables, is_eager=True,
            help="Variables, NAME=VALUE a line each; what the environment has comes first.",
        )
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Exchange market data into Kafka, declared in YAML."""
    size = os.environ.get("K2_DECIMALS", "").strip()
    if size:
        from k2conn.records import read_decimals, use_decimals

        use_decimals(read_decimals(size))
    folder = os.environ.get("K2_SCHEMAS", "").strip()
    if folder:
        from k2conn.records import add_records

        add_records(Path(folder))
