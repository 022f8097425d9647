"""Where the database is."""

from __future__ import annotations

from dataclasses import dataclass

from turnback.settings.environment import Environment, choice, text, whole

TLS_MODES = ("verify-full", "require", "disable")


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """Where the database is, and how we prove who we are.

    With ``secret_arn`` the secret says so; what it leaves out (RDS' own secrets hold only user
    and password) comes from the other fields. Without it, an IAM token is the password.
    """

    secret_arn: str
    host: str
    port: int
    user: str
    name: str
    tls: str
    history_schema: str
    runner_wait_seconds: int

    @classmethod
    def read(cls, environment: Environment) -> DatabaseSettings:
        """The database as the stack's parameters name it."""
        secret_arn = environment.get("DATABASE_SECRET_ARN", "").strip()

        def needed_for_iam(name: str) -> str:
            if not secret_arn:
                return text(environment, name)
            return environment.get(name, "").strip()

        return cls(
            secret_arn=secret_arn,
            host=needed_for_iam("DATABASE_HOST"),
            port=whole(environment, "DATABASE_PORT", 5432, least=1),
            user=needed_for_iam("DATABASE_USER"),
            name=needed_for_iam("DATABASE_NAME"),
            tls=choice(environment, "DATABASE_TLS", TLS_MODES, "verify-full"),
            history_schema=environment.get("HISTORY_SCHEMA", "").strip() or "public",
            runner_wait_seconds=whole(environment, "RUNNER_WAIT_SECONDS", 60),
        )
