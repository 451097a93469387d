"""The child process that runs a target under atheris: `python -m tests.fuzz.engines.traced TARGET OPTIONS...`."""

from __future__ import annotations

import sys

import atheris

TRACED = ["k2conn", "jmespath", "yaml", "websockets"]
"""Packages whose branches guide the search; for others the tracing would only be slow."""


def main() -> None:
    """Imports the target with everything it tries instrumented, then runs until libFuzzer ends the process."""
    name = sys.argv.pop(1)
    with atheris.instrument_imports(include=TRACED, enable_loader_override=False):
        from tests.fuzz.target import Target

        function = Target(name, "python").function()
        function(b"")  # what is made once is not counted as an input's time
    atheris.Setup(sys.argv, function)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
