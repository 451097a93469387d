"""What is missing from a stream: gaps by sequence numbers, suspected gaps where there are none, and their records."""
