"""Accounts for the records that an earlier process left: its own ledger ended with it."""

from __future__ import annotations


class RecoveredAccount:
    """That of one stream and symbol; see ``k2conn.envelope.Account``."""

    __slots__ = ("dead_letters", "lost", "published", "spooled", "stream", "symbol")

    def __init__(self, stream: str, symbol: str) -> None:
        self.stream = stream
        self.symbol = symbol
        self.published = 0
        self.dead_letters = 0
        self.lost = 0
        self.spooled = 0

    def settled(self, dead: bool, count: int = 1) -> None:
        """Some envelopes became durable in the sink."""
        if dead:
            self.dead_letters += count
        else:
            self.published += count


class RecoveredAccounts:
    """All of these accounts, opened on first use."""

    def __init__(self) -> None:
        self._accounts: dict[tuple[str, str], RecoveredAccount] = {}

    def account(self, stream: str, symbol: str) -> RecoveredAccount:
        """The account of one stream and symbol."""
        key = stream, symbol
        found = self._accounts.get(key)
        if found is None:
            found = self._accounts[key] = RecoveredAccount(stream, symbol)
        return found

    @property
    def published(self) -> int:
        """Records of an earlier process that are durable now."""
        return sum(account.published + account.dead_letters for account in self._accounts.values())

    @property
    def lost(self) -> int:
        """Dead letters of an earlier process that the sink can never take."""
        return sum(account.lost for account in self._accounts.values())
