"""Snapshots that RDS takes, and databases restored from them."""
