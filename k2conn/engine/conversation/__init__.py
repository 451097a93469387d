"""The protocol of one connection: steps, replies, subscriptions, routing of messages. Sans-I/O."""
