"""`python -m k2conn`."""

from k2conn.cli import main

main()
