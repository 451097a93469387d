"""`k2conn symbols`: what a venue's own instrument list says, asked now or read from a file."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from k2conn import exactjson
from k2conn.cli.loading import load
from k2conn.cli.messages import show, show_json
from k2conn.cli.screen import Column, line, screen, table
from k2conn.clock import wall_us
from k2conn.compiler.language.problems import known
from k2conn.engine.instrument_list import InstrumentRow, instrument_rows
from k2conn.errors import RecordError, SettingsError, TransportError, Unreachable
from k2conn.plan import InstrumentList, Plan, SendScope
from k2conn.runner.declared_hosts import destinations
from k2conn.runner.list_pages import read_list
from k2conn.runner.saved_list import read_saved, saved_text
from k2conn.settings import connector_settings

FOUND, NOTHING = 0, 1
FORMATS = ("text", "json")
_ALWAYS = ("native", "symbol", "base", "quote")


@dataclass(frozen=True, slots=True)
class SymbolOptions:
    """What the command line says."""

    connector: str
    search: str | None = None
    files: Sequence[Path] = ()
    """Where the list is read from, in place of the venue."""
    shown: bool = False
    """Whether what the connector's tests show of it is meant."""
    save: Path | None = None
    form: str = "text"


def run(options: SymbolOptions) -> int:
    """Prints the instruments; returns 0, or 1 where nothing is found."""
    if options.form not in FORMATS:
        raise SettingsError(f"--format {options.form}{known(options.form, FORMATS)}")
    if options.shown and options.files:
        raise SettingsError("--shown and --from are two places that a list can be in: say one")
    plan = load(options.connector)
    listing = plan.symbols.list
    if listing is None:
        raise SettingsError(f"{plan.name} says no `list` in `symbols`, so there is none to ask for: its names are read "
                            f"by {plan.symbols.description}, such as {', '.join(plan.symbols.default[:3])}")
    answers = _answers(plan, listing, options)
    if options.save is not None:
        _save(plan, answers, options.save)
    rows = _rows(plan, answers)
    found = [row for row in rows if _fits(row, options.search)]
    if options.form == "json":
        show_json([_as_json(row) for row in found])
    elif found:
        _print(found)
    if not found:
        show(_nothing(rows, options.search), error=True)
        return NOTHING
    if options.form == "text":
        show(f"{len(found):,} of {len(rows):,} instruments" if options.search else f"{len(rows):,} instruments",
             error=True)
    return FOUND


# -- where the list is

def _answers(plan: Plan, listing: InstrumentList, options: SymbolOptions) -> list[Any]:
    """The answers, one for each call or page."""
    if options.shown:
        if not listing.shown:
            raise SettingsError(f"no test of {plan.name} shows its `list`; leave --shown out to ask the venue")
        return [answer for one in listing.shown for answer in one.answers]
    if options.files:
        return [answer for path in options.files for answer in read_saved(plan.name, listing, path)]
    given = connector_settings(os.environ, plan.exchange, plan.name).overrides
    scope = SendScope(lambda: 0, lambda: str(uuid.uuid4()), wall_us(), {}, os.environ)
    try:
        answer, cut = asyncio.run(read_list(listing, scope, given, destinations(plan, given)))
    except (TransportError, RecordError) as error:
        raise Unreachable(
            f"{plan.name}: its list could not be read: {error}. A saved one can be read with --from FILE, what the "
            "connector's tests show of it with --shown"
        ) from None
    if cut:
        show(f"{plan.name}: the list has more pages than are read; `pages.most` says how many", error=True)
    return list(answer) if listing.in_parts else [answer]


def _save(plan: Plan, answers: list[Any], path: Path) -> None:
    try:
        path.write_bytes(saved_text(plan.name, answers))
    except OSError as error:
        raise SettingsError(f"--save {path}: {error.strerror}") from None


# -- what it says

def _rows(plan: Plan, answers: list[Any]) -> list[InstrumentRow]:
    try:
        return [row for answer in answers for row in instrument_rows(plan.symbols, answer)]
    except RecordError as error:
        raise SettingsError(f"{plan.name}: {error.detail}: `each` of `symbols.list` says where it would be") from None


def _fits(row: InstrumentRow, search: str | None) -> bool:
    """Whether each word is somewhere in what is said of an instrument, in upper or lower case."""
    text = " ".join(_cells(row).values()).casefold()
    return all(word in text for word in (search or "").casefold().split())


def _cells(row: InstrumentRow) -> dict[str, str]:
    """What is known of an instrument, as texts."""
    return {name: _text(value) for name, value in row.plain().items() if name != "trading"}


def _as_json(row: InstrumentRow) -> dict[str, Any]:
    """For programs: numbers as text, so that no reader rounds them."""
    return {name: _text(value) if isinstance(value, Decimal) else value for name, value in row.plain().items()}


def _text(value: Any) -> str:
    return format(value, "f") if isinstance(value, Decimal) else exactjson.spell(value)


def _print(found: list[InstrumentRow]) -> None:
    rows = [_cells(row) for row in found]
    names = dict.fromkeys(name for row in rows for name in row)
    if all(row.get("currency") == row.get("quote") for row in rows):
        names.pop("currency", None)
    order = [*_ALWAYS, *(name for name in names if name not in _ALWAYS)]
    columns = [Column(name, leaves=0 if name in ("native", "symbol") else at, right=name in ("tick", "lot", "strike"))
               for at, name in enumerate(order)]
    console = screen()
    console.print(table(columns, [[row.get(name, "") for name in order] for row in rows], console.width))
    unread = sum("symbol" not in row for row in rows)
    if unread:
        line(screen(), f"{unread:,} names are read neither by the list nor by a form")


def _nothing(rows: list[InstrumentRow], search: str | None) -> str:
    if not rows:
        return "the list has no instruments; `when` of `symbols.list` says which entries count"
    assert search is not None
    return f"none of {len(rows):,} instruments has '{search}'{known(search.upper(), [row.native for row in rows])}"
