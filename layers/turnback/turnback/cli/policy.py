"""What an environment requires before a command changes its database: docs/aws.md#policy.

Without ``--env``, ``TURNBACK_ENV`` or the variable of ``[environment]`` nothing is required.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from turnback.cli.options import ProjectSettings, project_settings
from turnback.cli.output import Output, may_ask
from turnback.engine import Engine, Plan
from turnback.errors import ConfigurationError, RollbackUnproven
from turnback.migrations.model import Project
from turnback.settings.approvals import ApprovalSettings
from turnback.wording import local_clock

if TYPE_CHECKING:
    from turnback.cli.recovery import Where
    from turnback.recovery.model import SnapshotEntry

# An older snapshot loses more than a day of data.
_FRESH = timedelta(hours=24)

allow_destroy = click.option(
    "--allow-destroy",
    "allowed",
    metavar="VERSION",
    multiple=True,
    help="Where the environment's policy asks for a yes: that of this migration, for a job.",
)


@dataclass(frozen=True, slots=True)
class Requirements:
    """What is required before a plan is run.

    Attributes:
        directory: the migrations.
        url: the database's address.
        history_schema: schema of the history tables.
        allowed: versions whose losses were accepted as an option.
        out: the command's.
    """

    directory: Path
    url: str | None
    history_schema: str
    allowed: Sequence[str]
    out: Output

    def meet(self, engine: Engine, project: Project, plan: Plan) -> None:
        """Ask, rehearse and take a snapshot, as the environment's policy wants it.

        Args:
            engine: of the database; nothing is changed there.
            project: all migrations.
            plan: what will be run.

        Raises:
            ConfigurationError: the answer was no, or nobody can be asked; or there is no address.
            RollbackUnproven: a rollback does not restore the schema.
            SnapshotFailed: no snapshot can be taken.
        """
        settings = project_settings(click.get_current_context())
        policy = settings.policy
        if policy is None or plan.empty:
            return
        where = f"the environment {settings.environment} (policy {policy.environment})"
        if policy.environment != "development" and not self.url:
            raise ConfigurationError(
                f"{where} has no address of a database",
                hint="name it by --database-url or DATABASE_URL, or leave the environment out to "
                "use the embedded Postgres",
            )
        if ApprovalSettings.read({"ENVIRONMENT": policy.environment}).people:
            self._accept_losses(project, plan, where)
        if policy.proof_required and plan.direction == "up":
            self._prove(engine, project, plan, where)
        if policy.snapshot_required:
            self._keep_snapshot(settings, engine)

    def refuse_missing_rollback(self) -> None:
        """Refuse ``--allow-missing-rollback`` where the policy requires rollback scripts.

        Raises:
            ConfigurationError: it does.
        """
        policy = project_settings(click.get_current_context()).policy
        if policy and policy.rollback_required:
            raise ConfigurationError(
                f"--allow-missing-rollback is against the policy {policy.environment}",
                hint="write a rollback script, or say why it cannot exist: "
                "-- turnback: irreversible because …",
            )

    def refuse_repeating(self, what: str) -> None:
        """Refuse what is for a migration that is still being written.

        Raises:
            ConfigurationError: the policy requires a snapshot before each change.
        """
        policy = project_settings(click.get_current_context()).policy
        if policy and policy.snapshot_required:
            raise ConfigurationError(
                f"{what} is for a migration that you are still writing; the policy here is "
                f"{policy.environment}",
                hint="turnback down and turnback up do it step by step",
            )

    def _accept_losses(self, project: Project, plan: Plan, where: str) -> None:
        from turnback.runs.approvals.risk import reasons_by_version

        found = reasons_by_version(project, plan.steps)
        left = {version: reasons for version, reasons in found.items() if reasons}
        left = {version: left[version] for version in left if version not in self.allowed}
        for reason in (one for reasons in left.values() for one in reasons):
            self.out.warn(reason)
        if not left:
            return
        if not may_ask(self.out.as_json):
            options = " ".join(f"--allow-destroy {version}" for version in left if version)
            raise ConfigurationError(
                f"{where} requires a yes for what cannot be undone, and nobody can be asked",
                hint=f"in a job, once somebody has looked at it: {options}",
            )
        database = self.out.document["database"]
        answer = click.prompt(f"Type yes to do this on {database}", err=True, default="no")
        if answer != "yes":
            raise ConfigurationError("the answer was not yes", hint="nothing was changed")

    def _prove(self, engine: Engine, project: Project, plan: Plan, where: str) -> None:
        from turnback.cli.rehearse import rehearse_plan

        result = rehearse_plan(engine, project, plan, self.url, self.out)
        if not result.proven:
            wrong = [verdict for verdict in result.migrations if not verdict.proven]
            what = f"that of {wrong[0].version} is not" if wrong else "all of them in a row are not"
            raise RollbackUnproven(
                f"{where} requires proven rollbacks: {what}",
                version=wrong[0].version if wrong else None,
                hint="nothing was changed; turnback rehearse shows what differs",
            )

    def _keep_snapshot(self, settings: ProjectSettings, engine: Engine) -> None:
        """Find a snapshot of this database that is younger than a day, or take one.

        None is needed where somebody else takes backups, which turnback.toml says.
        """
        from turnback.cli.backup import open_backup
        from turnback.cli.recovery import Where, keep_out_of_git, timed

        if elsewhere := settings.found.get("backups"):
            self.out.note(f"No snapshot is taken: {elsewhere.get()} ({elsewhere.where})")
            return
        where = Where(self.directory, self.url, settings.value("TURNBACK_STACK", "stack"))
        found = self._fresh(where, engine)
        if found is None:
            if not where.stack:
                keep_out_of_git(self.directory)
            self.out.note("There is no snapshot of the last 24 hours; one is taken:")
            with open_backup(where, None, self.history_schema, self.out) as taking:
                found = taking.take(timed(self.out))
        self.out.document["snapshot"] = dict(found.document)
        self.out.note(f"Snapshot {found.run}, as of {local_clock(found.taken_at or '')}")

    def _fresh(self, where: Where, engine: Engine) -> SnapshotEntry | None:
        """The newest snapshot of this database, where ``turnback snapshots`` looks."""
        from turnback.cli.recovery import managed_database, open_dumps
        from turnback.recovery.contents import identify

        if managed := managed_database(where):
            found: Iterable[SnapshotEntry] = managed.access(self.out).catalog.list()
        else:
            target = identify(engine.connection, self.history_schema)
            dumps = open_dumps(where).records()
            found = (one.entry() for one in dumps if not one.identity.differs_from(target))
        since = datetime.now(UTC) - _FRESH
        for one in found:
            if one.available and one.taken_at and datetime.fromisoformat(one.taken_at) > since:
                return one
        return None
