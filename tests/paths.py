"""Where things are, for tests in any folder."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The project's own folder."""
SHARED = ROOT.parent / "shared"
"""Recordings and reference data that may lie beside the project; what needs them skips where they are not."""
