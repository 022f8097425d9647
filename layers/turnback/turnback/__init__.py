"""PostgreSQL migrations on AWS, with rollbacks proven before you need them."""

__version__ = "0.1.0"
