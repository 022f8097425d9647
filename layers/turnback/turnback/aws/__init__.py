"""Thin adapters to AWS, one service a file; they know nothing of turnback but its errors."""
