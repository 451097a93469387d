"""Every frame and item accounted for: the ledger, and dead letters for what could not become a record."""
