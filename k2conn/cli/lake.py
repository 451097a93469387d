"""`k2conn lake`: what the lake has, and keeping it in order."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from k2conn.cli.messages import show
from k2conn.cli.option_values import lasting
from k2conn.cli.screen import Column, screen, table
from k2conn.errors import SettingsError, known
from k2conn.lake.maintenance import Lake, TableStats
from k2conn.lake.settings import LakeSettings
from k2conn.settings import sink_settings

ACTIONS = ("stats", "compact", "expire", "clean")
KEPT, EXPIRED_AFTER, CLEANED_AFTER = 10, "1h", "3d"


@dataclass(frozen=True)
class LakeOptions:
    """The command's options."""

    action: str
    tables: tuple[str, ...] = ()
    keep: int = KEPT
    older_than: str | None = None
    dry_run: bool = False
    format: str = "text"


def lake_settings() -> LakeSettings:
    """Where the lake is, by the environment."""
    options: LakeSettings = sink_settings(os.environ, kind="iceberg").options
    return options


def run(options: LakeOptions) -> int:
    """Does it, and says what was done; a line on standard error says how far it is."""
    if options.action not in ACTIONS:
        raise SettingsError(f"k2conn lake {options.action}{known(options.action, ACTIONS)}")
    if options.format not in ("text", "json"):
        raise SettingsError(f"--format {options.format}{known(options.format, ('text', 'json'))}")
    lake = Lake(lake_settings(), options.tables)
    done: dict[str, Callable[[], list[dict[str, object]]]] = {
        "stats": lambda: [one.as_dict() for one in lake.stats()],
        "compact": lambda: _compact(lake, options),
        "expire": lambda: _expire(lake, options),
        "clean": lambda: _clean(lake, options),
    }
    found = done[options.action]()
    if options.format == "json":
        show(*json.dumps(found, indent=2).splitlines())
    elif options.action == "stats":
        show_stats([TableStats(**one) for one in found])  # type: ignore[arg-type]
    else:
        for one in found:
            counts = ", ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in one.items() if name != "table")
            show(f"{one['table']}: {counts}{' (nothing was done)' if options.dry_run else ''}")
    return 0


def _told(line: str) -> None:
    show(line, error=True)


def _compact(lake: Lake, options: LakeOptions) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for shape in lake.shapes.values():
        gone, came = lake.compact(shape, _told, options.dry_run)
        found.append({"table": shape.name, "files_before": gone, "files_after": came})
    return found


def _expire(lake: Lake, options: LakeOptions) -> list[dict[str, object]]:
    age = _milliseconds(options.older_than or EXPIRED_AFTER)
    return [{"table": shape.name, "snapshots_expired": lake.expire(shape, options.keep, age, options.dry_run)}
            for shape in lake.shapes.values()]


def _clean(lake: Lake, options: LakeOptions) -> list[dict[str, object]]:
    age = _milliseconds(options.older_than or CLEANED_AFTER)
    found: list[dict[str, object]] = []
    for shape in lake.shapes.values():
        files, size = lake.clean(shape, age, _told, options.dry_run)
        found.append({"table": shape.name, "files_removed": files, "bytes_removed": size})
    return found


def _milliseconds(text: str) -> int:
    found = lasting("--older-than", text)
    assert found is not None
    return int(found * 1000)


def show_stats(found: Sequence[TableStats]) -> None:
    """What tables have, as a table."""
    console = screen()
    columns = (Column("table"), Column("rows", right=True), Column("files", right=True), Column("small", right=True),
               Column("MiB", right=True), Column("snapshots", right=True), Column("from", leaves=2),
               Column("to", leaves=1), Column("last commit", leaves=3))
    rows = [(one.table, f"{one.rows:,}", f"{one.files:,}", f"{one.small_files:,}", f"{one.bytes / 2**20:,.1f}",
             f"{one.snapshots:,}", _moment(one.first_us, 1_000_000), _moment(one.last_us, 1_000_000),
             _moment(one.last_commit_ms, 1000)) for one in found]
    console.print(table(columns, rows, console.width))


def _moment(value: int | None, unit: int) -> str:
    return "" if value is None else datetime.fromtimestamp(value // unit, UTC).strftime("%Y-%m-%d %H:%M:%S")
