"""The commands with their options, by subject; what a command does is in the module of its name above."""
