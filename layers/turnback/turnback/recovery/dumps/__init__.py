"""Dumps: made into a bucket, and restored beside the database before the names are swapped."""
