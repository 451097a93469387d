"""What a run of one target came to, and the work folder that runs share."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.paths import ROOT

WORK = ROOT / ".fuzz"
"""Builds, growing corpora, findings and logs; not in the repository."""
_EXECUTIONS = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
_PROGRESS = re.compile(r"^#(\d+)\t", re.MULTILINE)
_COVERED = re.compile(r"\bcov: (\d+) ft: (\d+)")


@dataclass(frozen=True, slots=True)
class Outcome:
    """``findings`` are files whose bytes show something wrong; ``coverage`` counts edges (0: not measured)."""

    target: str
    engine: str
    executions: int
    seconds: float
    findings: list[str]
    coverage: int = 0

    def __str__(self) -> str:
        rate = self.executions / max(self.seconds, 0.001)
        found = f"FINDING: {', '.join(self.findings)}" if self.findings else "no finding"
        return f"{self.target:16} {self.executions:>12,} executions {rate:>9,.0f}/s  {self.engine:10} {found}"


def findings_folder(target: str) -> Path:
    """Where what a target finds is written."""
    folder = WORK / "findings" / target
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def shown(path: Path) -> str:
    """A path from the top of the tree, where it is below that."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def executions(log: str) -> int:
    """What libFuzzer's log says of executions, also where it was stopped in the middle."""
    counts = [int(one) for one in (*_EXECUTIONS.findall(log), *_PROGRESS.findall(log))]
    return max(counts, default=0)


def coverage(log: str) -> int:
    """The edges (C), or bytecode branches (Python), that were reached."""
    return max((int(edges) for edges, _ in _COVERED.findall(log)), default=0)
