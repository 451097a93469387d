"""Tools outside the core: connector tests, the mock exchange, certification, drafting of connector files."""
