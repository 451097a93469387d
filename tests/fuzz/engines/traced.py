"""The child process that runs a target under atheris, with libFuzzer's options. FUZZ_TARGET names the target's module,
FUZZ_TRACED what guides it, FUZZ_ROOT the source tree, FUZZ_SELF a program that starts this file: libFuzzer starts
itself again for some work.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import atheris


def main() -> None:
    """Imports the target with what it reads input by instrumented, then runs until libFuzzer ends the process."""
    root = Path(os.environ["FUZZ_ROOT"])
    sys.path[0] = str(root)  # not this folder, whose files have common names
    traced = os.environ["FUZZ_TRACED"].split(",")
    include = list({name.split(".")[0] for name in traced})
    with atheris.instrument_imports(include, untraced(root, traced), enable_loader_override=False):
        function = importlib.import_module(os.environ["FUZZ_TARGET"]).target
        function(b"")  # what is made once is not counted as an input's time
    atheris.Setup([os.environ["FUZZ_SELF"], *sys.argv[1:]], function)
    atheris.Fuzz()


def untraced(root: Path, traced: Sequence[str]) -> list[str]:
    """The modules of ours that are neither named nor below what is named: to trace them would only be slow."""
    files = (path.relative_to(root).with_suffix("") for path in root.glob("k2conn/**/*.py"))
    names = {".".join(path.parts).removesuffix(".__init__") for path in files}
    return sorted(name for name in names if not any(f"{name}.".startswith(f"{one}.") for one in traced))


if __name__ == "__main__":
    main()
