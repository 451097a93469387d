"""What tells one job from another, and whether two differ in their symbols only."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from k2conn.compiler.language.document import read_document
from k2conn.runner import Job
from k2conn.variable_files import file_of, value_of


def digested(job: Job, environment: Mapping[str, str]) -> Job:
    """The job with both digests: of the files it is said in, and of what flags and environment add, with the secrets
    that are in files. SettingsError where such a file cannot be read.
    """
    secrets = [value_of(one.name, environment) for one in job.plan.variables if file_of(one.name, environment)]
    said = repr((job.streams, job.overrides, secrets))
    return replace(job, digest=_digest(job, repr(job.symbols) + said), likeness=_likeness(job, said))


def _digest(job: Job, said: str) -> str:
    found = hashlib.sha256(said.encode())
    for path in (Path(job.plan.path), *_beside(job)):
        with suppress(OSError):
            found.update(path.read_bytes())
    return found.hexdigest()


def _likeness(job: Job, said: str) -> str:
    """All that runs but the symbols: the file's values without its default symbols and its tests. Empty where the file
    cannot be read (it is being replaced).
    """
    found = hashlib.sha256(said.encode())
    try:
        value = dict(read_document(job.plan.path, Path(job.plan.path).read_text(encoding="utf-8")).value or {})
        for path in _beside(job):
            found.update(path.read_bytes())
    except (OSError, UnicodeDecodeError):
        return ""
    value.pop("tests", None)
    value["symbols"] = {**value.get("symbols", {}), "default": None}
    found.update(repr(value).encode())
    return found.hexdigest()


def _beside(job: Job) -> list[Path]:
    """The descriptors in the file's folder: it may name any of them."""
    return sorted(Path(job.plan.path).parent.glob("*.desc"))
