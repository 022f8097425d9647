"""Table swaps: a table is changed in a copy, which triggers keep current, and takes its place."""
