"""A run: its plan, its transactions, what is recorded and reported."""
