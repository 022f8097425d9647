"""Lint: what a migration will block, and for how long, before it runs anywhere."""
