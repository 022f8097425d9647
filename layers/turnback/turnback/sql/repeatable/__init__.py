"""Repeatables: files that are applied again whenever their text changes."""
