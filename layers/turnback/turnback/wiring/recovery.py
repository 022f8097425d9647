"""Snapshots, restores, and the application around them."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from turnback.errors import ConfigurationError
from turnback.settings import SnapshotSettings
from turnback.settings.recovery import ApplicationSettings, RestoreSettings
from turnback.wiring.database import Database
from turnback.wiring.invocation import RESERVE_S, Invocation

if TYPE_CHECKING:
    from turnback.aws.rds_snapshots import ClusterSnapshots, InstanceSnapshots
    from turnback.recovery.application import ApplicationPart, Hook
    from turnback.recovery.model import Restorer, SnapshotList, SnapshotTaker
    from turnback.recovery.retention import Retention


class Recovery:
    """Snapshots and restores, for one invocation."""

    def __init__(self, invocation: Invocation, database: Database) -> None:
        self._of = invocation
        self._database = database

    @property
    def snapshot_settings(self) -> SnapshotSettings:
        """How snapshots are taken."""
        return SnapshotSettings.read(self._of.environment)

    @property
    def snapshots(self) -> SnapshotTaker:
        """Takes snapshots of the configured kind."""
        from turnback.recovery.model import NoSnapshots

        settings = self.snapshot_settings
        if settings.kind == "none":
            return NoSnapshots()
        if settings.kind == "dump":
            from turnback.recovery.dumps.dump import DumpSnapshots

            return DumpSnapshots(
                self._database.endpoint(),
                self._of.bucket(),
                lambda: self._of.seconds_left() - RESERVE_S,
                history_schema=self._database.history_schema,
                limit_megabytes=settings.dump_limit_megabytes,
            )
        from turnback.recovery.managed.snapshots import ManagedSnapshots

        return ManagedSnapshots(
            settings.kind,
            self._rds_snapshots(),
            encryption_required=settings.encryption_required,
            prune=self.retention.prune if self.retention else None,
        )

    @functools.cached_property
    def retention(self) -> Retention | None:
        """What removes old snapshots; None where there are none."""
        from turnback.recovery.retention import Retention

        settings = self.snapshot_settings
        if settings.kind == "none":
            return None
        return Retention(
            snapshots=self._snapshot_list(),
            days=settings.retention_days,
            least=settings.least_kept,
            needed=lambda: self._of.machine.runs_needed(),
            # The bucket with the dumps is the stack's own; RDS is shared with other stacks.
            stack=None if settings.kind == "dump" else settings.stack,
        )

    def _rds_snapshots(self) -> InstanceSnapshots | ClusterSnapshots:
        from turnback.aws.rds_snapshots import ClusterSnapshots, InstanceSnapshots

        settings = self.snapshot_settings
        if settings.kind == "rds":
            return InstanceSnapshots(settings.instance)
        return ClusterSnapshots(settings.cluster)

    @property
    def restore_settings(self) -> RestoreSettings:
        """Whether and from what the database is restored."""
        return RestoreSettings.read(self._of.environment)

    @property
    def restores(self) -> Restorer:
        """Restores from snapshots of the configured kind."""
        settings = self.snapshot_settings
        if settings.kind == "dump":
            from turnback.recovery.dumps.restore import RestoreDump

            return RestoreDump(self._database.endpoint(), self._of.bucket(), self._of.seconds_left)
        if settings.kind == "rds":
            from turnback.aws.rds_instances import Instances
            from turnback.recovery.managed.restore import RestoreInstance

            return RestoreInstance(Instances(), settings.instance, settings.stack)
        if settings.kind == "aurora":
            from turnback.aws.rds_clusters import Clusters
            from turnback.recovery.managed.restore_cluster import RestoreCluster

            return RestoreCluster(Clusters(), settings.cluster, settings.stack)
        raise ConfigurationError(
            "this stack takes no snapshots, so there is nothing to restore from",
            hint="set the parameter SnapshotKind to rds, aurora or dump",
        )

    def restore_obstacles(self) -> list[str]:
        """What a restore by RDS would meet; see ``obstacles``. Nothing with dumps."""
        settings = self.snapshot_settings
        if settings.kind not in ("rds", "aurora"):
            return []
        from turnback.aws.kms import describe_key
        from turnback.recovery.managed.obstacles import obstacles

        look = functools.partial(
            obstacles,
            known_keys=settings.keys,
            describe_key=describe_key,
            stack=settings.stack,
        )
        if settings.kind == "rds":
            from turnback.aws.rds_instances import Instances

            return look(Instances(), settings.instance)
        from turnback.aws.rds_clusters import Clusters

        clusters = Clusters()
        members = clusters.members(settings.cluster)
        return look(clusters, settings.cluster, members=members)

    @property
    def application_settings(self) -> ApplicationSettings:
        """What is stopped during a rollback."""
        return ApplicationSettings.read(self._of.environment)

    def application_part(self, kind: str, name: str) -> ApplicationPart:
        """A service of ECS (``cluster/service``), or a Lambda function."""
        from turnback.recovery.application import FunctionPart, ServicePart

        if kind == "ecs":
            from turnback.aws.ecs import EcsService

            return ServicePart(name, EcsService(*name.split("/")))
        from turnback.aws.functions import ReservedConcurrency

        return FunctionPart(name, ReservedConcurrency(name))

    def emergency_hook(self, arn: str) -> Hook:
        """The hook for what turnback itself cannot stop."""
        from turnback.aws.hooks import FunctionHook, StateMachineHook

        return StateMachineHook(arn) if ":states:" in arn else FunctionHook(arn)

    def _snapshot_list(self) -> SnapshotList:
        target = self._of.order.target
        if self.snapshot_settings.kind == "dump":
            from turnback.recovery.dumps.catalog import DumpCatalog

            return DumpCatalog(self._of.bucket(), target)
        from turnback.recovery.managed.snapshots import ManagedCatalog

        return ManagedCatalog(self.snapshot_settings.kind, self._rds_snapshots(), target)
