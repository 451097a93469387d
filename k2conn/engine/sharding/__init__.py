"""Which symbols go to which connection, at the start and when the symbols change."""
