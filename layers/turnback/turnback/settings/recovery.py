"""Snapshots, restores, and the application that is stopped around a restore."""

from __future__ import annotations

import re
from dataclasses import dataclass

from turnback.errors import ConfigurationError
from turnback.settings.environment import ENVIRONMENTS, Environment, choice, text, whole

RESTORE_POLICIES = ("never", "approval", "automatic")
RESTORE_SOURCES = ("snapshot", "point-in-time")
SNAPSHOT_KINDS = ("rds", "aurora", "dump", "none")
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Service.html: up to 255 letters,
# numbers, underscores and hyphens.
_SERVICE = r"[A-Za-z0-9_-]{1,255}/[A-Za-z0-9_-]{1,255}"
# Concurrency is reserved for a function, never for one of its versions or aliases.
_FUNCTION = r"(arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:function:)?[A-Za-z0-9_-]{1,140}"
_HOOK = (
    r"arn:aws[a-z-]*:(lambda:[a-z0-9-]+:\d{12}:function:[A-Za-z0-9_-]+(:[A-Za-z0-9_$-]+)?"
    r"|states:[a-z0-9-]+:\d{12}:stateMachine:[A-Za-z0-9_-]+)"
)


@dataclass(frozen=True, slots=True)
class RestoreSettings:
    """Whether, from what and for how long a database is restored.

    Attributes:
        policy: ``never``; ``approval``, a person decides; ``automatic``, nobody is asked.
        source: ``snapshot``, or ``point-in-time``: just before the run, for rds and aurora.
        poll_seconds: seconds between two looks at a restore.
        timeout_minutes: minutes after which a restore counts as failed.
    """

    policy: str
    source: str
    poll_seconds: int
    timeout_minutes: int

    @classmethod
    def read(cls, environment: Environment) -> RestoreSettings:
        """The settings of restores, from the stack's parameters."""
        name = choice(environment, "ENVIRONMENT", ENVIRONMENTS, "development")
        words = ("by-environment", *RESTORE_POLICIES)
        policy = choice(environment, "RESTORE_POLICY", words, "by-environment")
        if policy == "by-environment":
            policy = "never" if name == "development" else "approval"
        return cls(
            policy=policy,
            source=choice(environment, "RESTORE_FROM", RESTORE_SOURCES, "snapshot"),
            poll_seconds=whole(environment, "RESTORE_POLL_SECONDS", 30, least=1),
            timeout_minutes=whole(environment, "RESTORE_TIMEOUT_MINUTES", 480, least=1),
        )


@dataclass(frozen=True, slots=True)
class SnapshotSettings:
    """How a snapshot is taken, of what, how long it may take, and for how long it is kept.

    Attributes:
        kind: ``rds``, ``aurora``, ``dump`` or ``none``.
        instance: the DB instance, for ``rds``.
        cluster: the DB cluster, for ``aurora``.
        poll_seconds: seconds between two looks at a snapshot.
        timeout_minutes: minutes after which a snapshot counts as failed.
        encryption_required: whether RDS must encrypt the snapshot.
        retention_days: days that a snapshot is kept; 0 keeps all.
        least_kept: how many of the newest are kept, however old they are.
        stack: the name of the stack, which its snapshots carry and its retention goes by.
        keys: ARNs of the keys of KMS that the functions may use.
    """

    kind: str
    instance: str
    cluster: str
    poll_seconds: int
    timeout_minutes: int
    dump_limit_megabytes: int = 5000
    encryption_required: bool = False
    retention_days: int = 35
    least_kept: int = 3
    stack: str = ""
    keys: tuple[str, ...] = ()

    @classmethod
    def read(cls, environment: Environment) -> SnapshotSettings:
        """The settings of snapshots, from the stack's parameters.

        Raises:
            ConfigurationError: the kind needs an identifier that is not set.
        """
        kind = choice(environment, "SNAPSHOT_KIND", SNAPSHOT_KINDS, "dump")
        instance, cluster = "DB_INSTANCE_IDENTIFIER", "DB_CLUSTER_IDENTIFIER"
        words = ("by-environment", "yes", "no")
        encrypt = choice(environment, "SNAPSHOT_ENCRYPTION_REQUIRED", words, "by-environment")
        if encrypt == "by-environment":
            name = choice(environment, "ENVIRONMENT", ENVIRONMENTS, "development")
            encrypt = "yes" if name == "production" else "no"
        return cls(
            kind=kind,
            instance=text(environment, instance) if kind == "rds" else "",
            cluster=text(environment, cluster) if kind == "aurora" else "",
            poll_seconds=whole(environment, "SNAPSHOT_POLL_SECONDS", 30, least=1),
            timeout_minutes=whole(environment, "SNAPSHOT_TIMEOUT_MINUTES", 120, least=1),
            dump_limit_megabytes=whole(environment, "DUMP_LIMIT_MEGABYTES", 5000),
            encryption_required=encrypt == "yes",
            retention_days=whole(environment, "SNAPSHOT_RETENTION_DAYS", 35),
            least_kept=whole(environment, "SNAPSHOTS_KEPT", 3, least=1),
            stack=environment.get("STACK_NAME", ""),
            keys=tuple(filter(None, environment.get("DATABASE_KMS_KEY_ARN", "").split(","))),
        )


@dataclass(frozen=True, slots=True)
class ApplicationSettings:
    """What is stopped while the database is rolled back or restored.

    Attributes:
        ecs_services: services of ECS, each ``cluster/service``.
        functions: Lambda functions, by name or ARN.
        hook: ARN of a Lambda function or of a standard state machine, for what is neither; or "".
        stop_minutes: how long the application may take to stop.
    """

    ecs_services: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    hook: str = ""
    stop_minutes: int = 10

    @property
    def enabled(self) -> bool:
        """Whether anything is to be stopped."""
        return bool(self.ecs_services or self.functions or self.hook)

    @classmethod
    def read(cls, environment: Environment) -> ApplicationSettings:
        """The application as the stack's parameters name it; all of them are optional.

        Raises:
            ConfigurationError: an entry is not something that can be stopped.
        """
        hook = environment.get("EMERGENCY_HOOK_ARN", "").strip()
        if hook and not re.fullmatch(_HOOK, hook):
            raise ConfigurationError(
                f"EMERGENCY_HOOK_ARN is {hook!r}",
                hint="it must be the ARN of a Lambda function or of a state machine (no version)",
            )
        return cls(
            ecs_services=_entries(environment, "ECS_SERVICES", _SERVICE, "cluster/service"),
            functions=_entries(
                environment, "LAMBDA_FUNCTIONS", _FUNCTION, "a name or an ARN without a version"
            ),
            hook=hook,
            stop_minutes=whole(environment, "APPLICATION_STOP_MINUTES", 10, least=1),
        )


def _entries(environment: Environment, name: str, pattern: str, form: str) -> tuple[str, ...]:
    found = [entry.strip() for entry in environment.get(name, "").split(",") if entry.strip()]
    for entry in found:
        if not re.fullmatch(pattern, entry):
            raise ConfigurationError(
                f"{name} has the entry {entry!r}; each must be {form}",
                hint="correct the stack's parameter and deploy again",
            )
    return tuple(dict.fromkeys(found))
