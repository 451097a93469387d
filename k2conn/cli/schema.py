"""`k2conn schema`: the JSON Schema of connector files, for editors."""

from __future__ import annotations

from k2conn.cli.messages import show
from k2conn.resources import schemas_folder


def run() -> int:
    """Prints it as it ships."""
    text = (schemas_folder() / "connector.schema.json").read_text(encoding="utf-8")
    show(*text.splitlines())
    return 0
