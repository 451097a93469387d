"""Which symbols a job means: those that it names, or all; and which of them the venue's own list does not have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from k2conn.engine.symbol_directory import SymbolDirectory
from k2conn.errors import SettingsError
from k2conn.plan import Plan, Symbol
from k2conn.symbols import EVERY

ALL = "all"
"""Stands for every symbol of a venue, where it is the only one that is named."""


class WantedSymbols(NamedTuple):
    """The symbols to subscribe, and the names that are refused because the venue's list does not have them."""

    symbols: list[Symbol]
    unlisted: tuple[str, ...] = ()


def asks_for_all(names: Sequence[str]) -> bool:
    """Whether all symbols of the venue are meant."""
    return tuple(names) == (ALL,)


def needs_list(plan: Plan, names: Sequence[str]) -> bool:
    """Whether the venue's list must be known before it can be told which symbols these are."""
    if plan.symbols.list is None:
        return False
    everything = asks_for_all(names) and not plan.symbols.all
    return plan.symbols.list.names or plan.symbols.unlisted == "refuse" or everything


def wanted_symbols(
    plan: Plan, names: Sequence[str], directory: SymbolDirectory, share: Sequence[str] | None = None
) -> WantedSymbols:
    """The symbols of a running connector, with what the venue's list has told so far; of all those of ``share``, where
    it is given. SettingsError where no rule reads a name, or the list has none of them.
    """
    if share is not None and asks_for_all(names):
        own = set(share)
        return WantedSymbols([symbol for symbol in resolve(plan, (ALL,), directory) if symbol.native in own])
    if plan.symbols.unlisted != "refuse" or not directory.listed or asks_for_all(names):
        return WantedSymbols(resolve(plan, tuple(names), directory))
    unlisted = tuple(name for name in names if name not in directory.listed)
    listed = tuple(name for name in names if name in directory.listed)
    if not listed:
        raise SettingsError(f"{plan.name}: the venue's list does not have {', '.join(unlisted)}")
    return WantedSymbols(resolve(plan, listed, directory), unlisted)


def resolve(plan: Plan, names: tuple[str, ...], directory: SymbolDirectory | None = None) -> list[Symbol]:
    """The symbols by their native names, or all of them; SettingsError names those that no rule reads. ``directory``
    knows what the venue's instrument list has told; without it the rule of the connector file reads the names.
    """
    if asks_for_all(names):
        return _everything(plan, directory)
    read = plan.symbols.resolve if directory is None else directory.resolve
    found: list[Symbol] = []
    unknown: list[str] = []
    for name in names:
        symbol = read(name)
        if symbol is None:
            unknown.append(name)
        elif symbol not in found:
            found.append(symbol)
    if unknown:
        example = plan.symbols.default[0]
        raise SettingsError(
            f"{plan.name}: no symbol rule reads {', '.join(unknown)}; this venue writes them like {example}"
        )
    return found


def _everything(plan: Plan, directory: SymbolDirectory | None) -> list[Symbol]:
    """What stands for all symbols at the venue; or all that its list has and that can be traded."""
    if plan.symbols.all:
        return [Symbol(plan.symbols.all, EVERY, EVERY, EVERY)]
    if plan.symbols.list is None:
        raise SettingsError(f"{plan.name}: which symbols are `{ALL}` nobody knows: the connector file has neither a "
                            "`list:` of the venue's nor a word for `all:` in `symbols`")
    found = directory.tradable() if directory is not None else []
    if not found:
        raise SettingsError(f"{plan.name}: which symbols are `{ALL}` the venue's list says, which is not read here")
    return found
