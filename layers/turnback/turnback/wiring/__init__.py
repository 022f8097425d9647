"""The adapters of one invocation, each made when it is asked for.

Importing it needs no environment and neither psycopg nor boto3: a function that only publishes
starts in half the time.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from turnback.settings import text
from turnback.settings.pipeline import PipelineSettings
from turnback.wiring.approvals import Approvals
from turnback.wiring.database import Database
from turnback.wiring.invocation import Invocation
from turnback.wiring.notifications import Notifications
from turnback.wiring.recovery import Recovery

if TYPE_CHECKING:
    from turnback.aws.stepfunctions import StateMachine
    from turnback.runs.pipeline.jobs import Jobs


class Wiring(Invocation):
    """One invocation, and the adapters it may need."""

    @functools.cached_property
    def database(self) -> Database:
        """The database of the stack."""
        return Database(self)

    @functools.cached_property
    def recovery(self) -> Recovery:
        """What there is to come back by."""
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
    def machine(self) -> StateMachine:
        """What executes the runs."""
        from turnback.aws.stepfunctions import StateMachine

        return StateMachine(text(self.environment, "STATE_MACHINE_ARN"))

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
    def shadow_server(self) -> Callable[[], AbstractContextManager[str]]:
        """Starts a server for shadow databases; the address is good for the ``with`` block."""
        from turnback.rehearsal.server import shadow_server

        return shadow_server
