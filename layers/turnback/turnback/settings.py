"""Settings of the Lambda functions: read from the environment once, at the edge, and typed.

Every class has ``read(environment)``, which raises ConfigurationError naming the variable. The
variables are set by ``template.yaml`` from its parameters; the command line has its own options.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from turnback.errors import ConfigurationError

Environment = Mapping[str, str]

ENVIRONMENTS = ("development", "staging", "production")
SNAPSHOT_KINDS = ("rds", "aurora", "dump", "none")
TLS_MODES = ("verify-full", "require", "disable")


def text(environment: Environment, name: str) -> str:
    """The value of a variable that must be there.

    Raises:
        ConfigurationError: the variable is missing or empty.
    """
    value = environment.get(name, "").strip()
    if not value:
        raise ConfigurationError(
            f"the environment variable {name} is not set",
            hint="deploy the stack again: template.yaml sets it from a parameter",
        )
    return value


def choice(environment: Environment, name: str, allowed: tuple[str, ...], default: str) -> str:
    """The value of a variable that knows only some words.

    Raises:
        ConfigurationError: the word is none of them.
    """
    value = environment.get(name, "").strip() or default
    if value not in allowed:
        raise ConfigurationError(
            f"{name} is {value!r}; it must be one of {', '.join(allowed)}",
            hint="correct the stack's parameter and deploy again",
        )
    return value


def whole(environment: Environment, name: str, default: int, *, least: int = 0) -> int:
    """The value of a variable that is a whole number, not below ``least``.

    Raises:
        ConfigurationError: it is no such number.
    """
    value = environment.get(name, "").strip() or str(default)
    if not value.isascii() or not value.isdigit() or int(value) < least:
        raise ConfigurationError(
            f"{name} is {value!r}; it must be a whole number from {least}",
            hint="correct the stack's parameter and deploy again",
        )
    return int(value)


@dataclass(frozen=True, slots=True)
class Policy:
    """What an environment demands of a release before anything is changed."""

    environment: str
    snapshot_required: bool
    rollback_required: bool
    proof_required: bool = False

    @classmethod
    def read(cls, environment: Environment) -> Policy:
        """The policy of ``ENVIRONMENT``, with the rules that are set alone on top."""
        name = choice(environment, "ENVIRONMENT", ENVIRONMENTS, "development")
        default = "no" if name == "development" else "yes"

        def rule(variable: str) -> bool:
            word = choice(environment, variable, ("by-environment", "yes", "no"), "by-environment")
            return (default if word == "by-environment" else word) == "yes"

        return cls(
            environment=name,
            snapshot_required=rule("SNAPSHOT_REQUIRED"),
            rollback_required=rule("ROLLBACK_REQUIRED"),
            proof_required=_proof_required(environment, default),
        )

    def check_snapshot_kind(self, kind: str) -> None:
        """Refuse to run without a snapshot where the policy demands one.

        Raises:
            ConfigurationError: the kind is ``none`` and the policy demands a snapshot.
        """
        if kind == "none" and self.snapshot_required:
            raise ConfigurationError(
                f"{self.environment} demands a snapshot, but the snapshot kind is 'none'",
                hint="set the parameter SnapshotKind to rds, aurora or dump",
            )


def _proof_required(environment: Environment, default: str) -> bool:
    word = choice(environment, "REHEARSE", ("auto", "always", "never"), "auto")
    return word == "always" or (word == "auto" and default == "yes")


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


@dataclass(frozen=True, slots=True)
class SnapshotSettings:
    """How a snapshot is taken, of what, and how long it may take."""

    kind: str
    instance: str
    cluster: str
    poll_seconds: int
    timeout_minutes: int

    @classmethod
    def read(cls, environment: Environment) -> SnapshotSettings:
        """The snapshot as the stack's parameters want it.

        Raises:
            ConfigurationError: the kind needs an identifier that is not set.
        """
        kind = choice(environment, "SNAPSHOT_KIND", SNAPSHOT_KINDS, "dump")
        instance, cluster = "DB_INSTANCE_IDENTIFIER", "DB_CLUSTER_IDENTIFIER"
        return cls(
            kind=kind,
            instance=text(environment, instance) if kind == "rds" else "",
            cluster=text(environment, cluster) if kind == "aurora" else "",
            poll_seconds=whole(environment, "SNAPSHOT_POLL_SECONDS", 30, least=1),
            timeout_minutes=whole(environment, "SNAPSHOT_TIMEOUT_MINUTES", 120, least=1),
        )
