"""Following a run from a terminal, and listing runs."""
