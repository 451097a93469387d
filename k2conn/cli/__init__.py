"""The command line: one module a command, each imported when it runs, so that `--help` is quick.

Exit codes: 0 fine, 2 usage or settings, 65 something was dead-lettered (map), 69 a dependency is unreachable,
70 our bug, 78 a connector file is wrong.
"""

from __future__ import annotations

import sys

from k2conn.cli.application import application
from k2conn.errors import K2Error, SettingsError

REPORT = "https://github.com/k2conn/k2conn/issues"


def main() -> None:
    """The `k2conn` command."""
    try:
        application()
    except K2Error as error:
        problems = error.problems if isinstance(error, SettingsError) else ()
        if len(problems) > 1:
            print(f"k2conn: {len(problems)} settings are wrong:", *problems, sep="\n  ", file=sys.stderr)
        else:
            print(f"k2conn: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(0) from None
    except Exception:  # a bug of ours, whatever it is: it is shown whole and ends the process
        import traceback

        traceback.print_exc()
        print(f"k2conn: this is a bug of k2conn, not of yours: please report it with the lines above ({REPORT})",
              file=sys.stderr)
        raise SystemExit(K2Error.exit_code) from None
