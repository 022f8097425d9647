"""The rules of our own, by theme."""
