"""What this test suite adds to pytest: tests in parallel, servers that they share, an account of what was skipped."""
