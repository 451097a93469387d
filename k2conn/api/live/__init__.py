"""Records as they come, handed to every listener."""
