"""What is said on one connection, and what comes back: steps, replies, subscriptions, routing. Sans-I/O."""
