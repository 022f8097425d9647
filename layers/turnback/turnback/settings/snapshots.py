"""How snapshots are taken."""

from __future__ import annotations

from dataclasses import dataclass

from turnback.settings.policy import ENVIRONMENTS
from turnback.settings.reading import Environment, choice, text, whole

SNAPSHOT_KINDS = ("rds", "aurora", "dump", "none")


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

    @classmethod
    def read(cls, environment: Environment) -> SnapshotSettings:
        """The snapshot as the stack's parameters want it.

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
        )
