"""Dead letters after the fact: read from files or topics, grouped, shown, and mapped again (`k2conn dlq`)."""
