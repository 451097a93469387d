"""`python -m k2conn`, which is what the command `k2conn` runs, too."""

from k2conn.cli import main as command
from k2conn.cli.ending import end


def main() -> None:
    """The `k2conn` command as a process of its own."""
    try:
        command()
    except SystemExit as ended:
        end(ended.code)
        raise


if __name__ == "__main__":
    main()
