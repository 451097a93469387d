"""From a message to envelopes: one mapping for each stream, with a general, a fast and a native (C) way."""
