"""How snapshots are taken."""

from __future__ import annotations

from dataclasses import dataclass

from turnback.settings.reading import Environment, choice, text, whole

SNAPSHOT_KINDS = ("rds", "aurora", "dump", "none")


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
