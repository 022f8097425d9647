"""A run as people follow it: its steps, how far they are, how it ended."""
