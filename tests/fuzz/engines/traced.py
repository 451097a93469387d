"""The child process that runs a target under atheris, with libFuzzer's options. FUZZ_TARGET names the target's module,
FUZZ_ROOT the source tree, FUZZ_SELF a program that starts this file: libFuzzer starts itself again for some work.
"""

from __future__ import annotations

import importlib
import os
import sys

import atheris

TRACED = ["k2conn", "jmespath", "yaml", "websockets"]
"""Packages whose branches guide the search; for others the tracing would only be slow."""


def main() -> None:
    """Imports the target with everything it tries instrumented, then runs until libFuzzer ends the process."""
    sys.path[0] = os.environ["FUZZ_ROOT"]  # not this folder, whose files have common names
    with atheris.instrument_imports(include=TRACED, enable_loader_override=False):
        function = importlib.import_module(os.environ["FUZZ_TARGET"]).target
        function(b"")  # what is made once is not counted as an input's time
    atheris.Setup([os.environ["FUZZ_SELF"], *sys.argv[1:]], function)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
