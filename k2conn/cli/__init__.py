"""The command line: one module a command, each imported when it runs, so that `--help` is quick.

Exit codes: 0 fine, 2 usage or settings, 65 something was dead-lettered (map), 69 a dependency is unreachable,
70 our bug, 78 a connector file is wrong.
"""

from __future__ import annotations

import os
import sys

from k2conn.cli.application import application
from k2conn.cli.garbage import look_seldom
from k2conn.cli.messages import complain, for_machines, show, spell_everything
from k2conn.compat.typer import refusal
from k2conn.errors import K2Error, SettingsError

REPORT = "https://github.com/k2conn/k2conn/issues"


def main() -> None:
    """The `k2conn` command."""
    look_seldom()
    spell_everything()
    machines = for_machines(sys.argv[1:], os.environ)
    try:
        code = application(standalone_mode=not machines)
        raise SystemExit(code)  # only here: typer itself exits where people read what it says
    except K2Error as error:
        problems = error.problems if isinstance(error, SettingsError) else ()
        lines = [f"{len(problems)} settings are wrong:", *(f"  {one}" for one in problems)]
        first, *others = lines if len(problems) > 1 else [str(error)]
        complain(f"k2conn: {first}", *others, exit_code=error.exit_code)
        raise SystemExit(error.exit_code) from None
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(0) from None
    except Exception as error:  # what typer refuses; else a bug of ours: it is shown whole and ends the process
        if machines and (said := refusal(error)) is not None:
            complain(f"k2conn: {said[0]}", exit_code=said[1])
            raise SystemExit(said[1]) from None
        import traceback

        where = {"traceback": traceback.format_exc()} if machines else {}
        if not machines:
            show(*traceback.format_exc().rstrip().split("\n"), error=True)
        complain(f"k2conn: this is a bug of k2conn, not of yours: please report it with the lines above ({REPORT})",
                 **where)
        raise SystemExit(K2Error.exit_code) from None
