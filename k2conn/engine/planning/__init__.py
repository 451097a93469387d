"""What running a connector will take: its cost, and which symbols cannot be separated."""
