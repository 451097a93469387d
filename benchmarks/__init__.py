"""What k2conn costs and how quick it is, measured on this machine: see docs/performance.md."""
