"""RDS: tokens for IAM authentication."""

from __future__ import annotations

from turnback.aws.clients import client, telling


def auth_token(host: str, port: int, user: str) -> str:
    """A password for IAM authentication, good for 15 minutes."""
    with telling("make an IAM token for the database"):
        token = client("rds").generate_db_auth_token(DBHostname=host, Port=port, DBUsername=user)
    return str(token)
