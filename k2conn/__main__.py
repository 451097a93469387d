"""`python -m k2conn`, which is what the command `k2conn` runs, too."""

from k2conn.cli import main as command
from k2conn.cli.ending import Ending


def main() -> None:
    """The `k2conn` command as a process of its own."""
    ending = Ending()
    try:
        command()
    except SystemExit as ended:
        ending.code = ended.code
        raise
    except BaseException as error:
        ending.code = 130 if isinstance(error, KeyboardInterrupt) else 1  # as Python ends after a traceback
        raise


if __name__ == "__main__":
    main()
