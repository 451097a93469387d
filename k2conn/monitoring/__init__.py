"""What a running process tells the outside: metrics, health, readiness."""
