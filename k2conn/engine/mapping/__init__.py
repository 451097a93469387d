"""From a message to envelopes: one mapping for each stream, done by a general, a fast and a native (C) mapper."""
