"""Backfills: one statement over ranges of a table's keys, a short transaction each."""
