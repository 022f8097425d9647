"""The adapters of one invocation, each made when it is asked for.

Importing it needs no environment and neither psycopg nor boto3: a function that only publishes
starts in half the time.
"""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from turnback.runs.run import Run
from turnback.settings import text
from turnback.settings.environment import PipelineSettings
from turnback.wiring.approvals import Approvals
from turnback.wiring.database import Database
from turnback.wiring.invocation import Invocation, moment
from turnback.wiring.notifications import Notifications
from turnback.wiring.recovery import Recovery

if TYPE_CHECKING:
    from turnback.aws.cloudwatch import InstanceMetrics
    from turnback.runs.application import Application
    from turnback.runs.backfills import Starter
    from turnback.runs.final_word import FinalWords
    from turnback.runs.pipeline.jobs import Jobs
    from turnback.runs.rehearse import ShadowServers
    from turnback.runs.stored_states import BucketStates
    from turnback.runs.turn import Place, Turns
    from turnback.runs.validate import StackSettings


class Wiring(Invocation):
    """One invocation, and the adapters it may need."""

    @functools.cached_property
    def database(self) -> Database:
        """The database of the stack."""
        return Database(self)

    @property
    def run(self) -> Run:
        """The run at this step.

        Raises:
            ConfigurationError: the order is refused; see order.
            VerificationFailed: the state is not what the steps before this one leave.
        """
        location = self.order.artifact
        return Run(
            order=self.order,
            state=self.state,
            records=self.records,
            artifacts=self.bucket(location.bucket if location else None),
            database=self.database,
            policy=self.policy,
            keep_going=self.keep_going,
            now=datetime.now(UTC),
            execution=str(self.event.get("execution") or ""),
            started_at=str(self.event.get("started_at") or ""),
        )

    @property
    def stack(self) -> StackSettings:
        """What the stack's parameters say about every release."""
        from turnback.runs.validate import StackSettings

        return StackSettings(
            target=self.target,
            snapshot_kind=self.recovery.snapshot_settings.kind,
            restore_policy=self.recovery.restore_settings.policy,
            stop_application=self.recovery.application_settings.enabled,
            name=self.environment.get("STACK_NAME", ""),
        )

    @functools.cached_property
    def recovery(self) -> Recovery:
        """Snapshots, restores, and the application around them."""
        return Recovery(self, self.database)

    @functools.cached_property
    def notifications(self) -> Notifications:
        """Where the run's status is published."""
        return Notifications(self)

    @functools.cached_property
    def approvals(self) -> Approvals:
        """Questions to people."""
        return Approvals(self)

    @property
    def turns(self) -> Turns:
        """The turns of the stack's target."""
        from turnback.aws.stepfunctions import WaitingTasks
        from turnback.runs.turn import Turns
        from turnback.settings.environment import TurnSettings

        settings = TurnSettings.read(self.environment)
        return Turns(self.bucket(), self.target, self.machine, WaitingTasks(), settings)

    @property
    def backfills(self) -> Starter:
        """What starts executions for backfills."""
        from turnback.aws.stepfunctions import StateMachine
        from turnback.runs.backfills import Starter

        machine = StateMachine(text(self.environment, "BACKFILL_MACHINE_ARN"))
        return Starter(self.bucket(), self.target, machine)

    @property
    def instance_metrics(self) -> InstanceMetrics | None:
        """The metrics of the database's instance; None where it is not one of RDS."""
        from turnback.aws.cloudwatch import InstanceMetrics

        identifier = self.environment.get("DB_INSTANCE_IDENTIFIER", "")
        return InstanceMetrics(identifier) if identifier else None

    @property
    def place(self) -> Place:
        """The place of this run among those that wait."""
        from turnback.runs.turn import Place

        uploaded = self.order.uploaded_at
        at = moment(uploaded) if uploaded else self.started_at
        return Place(
            run=self.run_id,
            uploaded_at=at.astimezone(UTC).isoformat(timespec="milliseconds"),
            since=datetime.now(UTC).isoformat(timespec="milliseconds"),
            release=self.order.release,
        )

    @property
    def application(self) -> Application:
        """What there is to stop around a rollback or a restore."""
        from turnback.runs.application import Application, Stopped

        recovery = self.recovery
        return Application(
            recovery.application_settings,
            recovery.application_part,
            recovery.emergency_hook,
            Stopped(self.bucket(), self.target),
        )

    @property
    def final_words(self) -> FinalWords:
        """Says what a run could not say itself."""
        from turnback.runs.final_word import FinalWords

        return FinalWords(
            machine=self.machine,
            store=self.bucket(),
            channels=self.notifications.channels,
            target=self.target,
            environment=self.policy.environment,
            warn=self.warn,
        )

    @property
    def jobs(self) -> Jobs:
        """What answers the jobs of CodePipeline."""
        import time

        from turnback.aws.codepipeline import JobResults, SourceArtifacts
        from turnback.runs.pipeline.jobs import Jobs

        return Jobs(
            settings=PipelineSettings.read(self.environment),
            machine=self.machine,
            results=JobResults(),
            bucket=self.bucket(),
            source=lambda lent: SourceArtifacts(
                lent.access_key_id, lent.secret_access_key, lent.session_token
            ),
            clock=time.time,
        )

    @property
    def shadow_server(self) -> ShadowServers:
        """Starts a server for shadow databases, for the ``with`` block."""
        from turnback.rehearsal.server import shadow_server

        return shadow_server

    @property
    def states(self) -> BucketStates:
        """What rehearsals have stored."""
        from turnback.runs.stored_states import BucketStates

        return BucketStates(self.bucket())
