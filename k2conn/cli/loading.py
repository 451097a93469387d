"""Connectors by file or by shipped name, checked: what every command starts from."""

from __future__ import annotations

from pathlib import Path

from k2conn.cli.allowed_variables import readable
from k2conn.cli.check_budget import BudgetExceeded, check_budget
from k2conn.cli.messages import complain
from k2conn.compiler.compiler import load_plan
from k2conn.compiler.language.problems import Problem, known
from k2conn.errors import SettingsError, SpecError
from k2conn.plan import Plan
from k2conn.resources import connectors_folder
from k2conn.schemes import BUILT_IN


def shipped() -> list[Path]:
    """The connector files that ship with k2conn, sorted by name."""
    return sorted(connectors_folder().glob("*.yaml"))


def find(name: str) -> Path:
    """The file of a connector given by path or by shipped name; SettingsError names what is known."""
    path = Path(name)
    if path.is_file():
        return path
    inside = connectors_folder() / f"{name.removesuffix('.yaml')}.yaml"
    if "/" not in name and inside.is_file():
        return inside
    if path.suffix in (".yaml", ".yml"):
        raise SettingsError(f"there is no connector file {name}")
    raise SettingsError(f"there is no connector '{name}'{known(name, [one.stem for one in shipped()])}")


def secure(scheme: str) -> bool | None:
    """Whether a scheme's transport encrypts; None where no transport, installed ones too, has that scheme."""
    if scheme in BUILT_IN:  # the transports are not even imported for their own
        return BUILT_IN[scheme]
    from k2conn import transports

    return transports.secure(scheme)


def load_connected(name: str) -> Plan:
    """The same, for commands that play a venue; SettingsError for a connector that has none."""
    plan = load(name)
    if plan.reads_files:
        raise SettingsError(f"{plan.name} reads files: there is no venue to play")
    return plan


def load(name: str) -> Plan:
    """The plan of a connector given by path or name; prints all problems and exits 78 where it is wrong."""
    path = find(name)
    try:
        with check_budget():
            return load_plan(path, secure, readable())
    except BudgetExceeded as error:
        found = error.problem(str(path))
        complain(str(found), **found.plain())
        raise SystemExit(SpecError.exit_code) from None
    except SpecError as error:
        for problem in error.problems:
            complain(str(problem), **(problem.plain() if isinstance(problem, Problem) else {}))
        raise SystemExit(error.exit_code) from None
