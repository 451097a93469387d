"""Staying connected: delays, circuit breakers, limits on attempts, replicas, silence."""
