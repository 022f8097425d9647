"""PostgreSQL migrations on AWS that you can always turn back from."""

__version__ = "0.1.0"
