"""The adapters of one invocation, each made when it is asked for.

Importing it needs no environment and neither psycopg nor boto3: a function that only publishes
starts in half the time.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Protocol

from turnback.errors import AwsError
from turnback.runs.order import Order
from turnback.runs.records import Records
from turnback.settings import DatabaseSettings, Policy, SnapshotSettings, text

if TYPE_CHECKING:
    from turnback.aws.s3 import Bucket
    from turnback.aws.sns import Topic
    from turnback.aws.stepfunctions import StateMachine
    from turnback.engine import Engine, Event
    from turnback.recovery.endpoint import Endpoint
    from turnback.recovery.model import Snapshots

# Before the function is stopped: enough to write the report and to answer.
RESERVE_S = 60.0


class Log(Protocol):
    """Where a function writes what it does."""

    def info(self, msg: object, **fields: Any) -> None: ...

    def warning(self, msg: object, **fields: Any) -> None: ...


class Wiring:
    """The adapters of one invocation, each made when it is asked for."""

    def __init__(
        self, event: Mapping[str, Any], context: Any, environment: Mapping[str, str], log: Log
    ) -> None:
        """Wire up an invocation.

        Args:
            event: with the state machine's ``state``, if it comes from there.
            context: Lambda's context.
            environment: the function's variables.
            log: the function's log.
        """
        self.state: Mapping[str, Any] = event.get("state", {})
        self.event = event
        self._context = context
        self._environment = environment
        self._log = log
        self._asked = False

    @functools.cached_property
    def order(self) -> Order:
        """The run's order."""
        return Order.from_state(self.state)

    @property
    def release(self) -> str:
        """The release, once it was validated."""
        return str((self.state.get("plan") or {}).get("release") or "")

    @property
    def target(self) -> str:
        """The only target that this stack releases to."""
        return text(self._environment, "TARGET")

    @property
    def policy(self) -> Policy:
        """What the environment demands."""
        return Policy.read(self._environment)

    @property
    def started_at(self) -> datetime:
        """When the run began."""
        return moment(self.event["started_at"])

    @property
    def records(self) -> Records:
        """The records of this run; of an order without a usable run id, none that exist."""
        return Records(self._bucket(), str(self.state.get("run")))

    @property
    def artifacts(self) -> Bucket:
        """The bucket that this run's artifact is in."""
        return self._bucket(self.order.artifact.bucket)

    @property
    def topic(self) -> Topic:
        """Where statuses are published."""
        from turnback.aws.sns import Topic

        return Topic(text(self._environment, "TOPIC_ARN"))

    def subscribers(self) -> dict[str, int | None]:
        """How many hear the ``statuses`` and the ``alarms``; None where SNS does not say."""
        from turnback.aws.sns import Topic

        alarms = self._environment.get("ALARM_TOPIC_ARN", "").strip()
        found: dict[str, int | None] = {"statuses": None, "alarms": None if alarms else 0}
        for name, arn in (("statuses", text(self._environment, "TOPIC_ARN")), ("alarms", alarms)):
            try:
                found[name] = Topic(arn).subscribers() if arn else found[name]
            except AwsError as error:
                self._log.warning(error.message)
        return found

    @property
    def machine(self) -> StateMachine:
        """What executes the runs."""
        from turnback.aws.stepfunctions import StateMachine

        return StateMachine(text(self._environment, "STATE_MACHINE_ARN"))

    @property
    def webhook(self) -> str:
        """The chat's address."""
        from turnback.aws.secretsmanager import secret_text
        from turnback.runs.webhook import webhook_address

        return webhook_address(secret_text(text(self._environment, "SLACK_SECRET_ARN")))

    @property
    def snapshot_settings(self) -> SnapshotSettings:
        """How snapshots are taken."""
        return SnapshotSettings.read(self._environment)

    @property
    def snapshots(self) -> Snapshots:
        """The way snapshots are taken."""
        from turnback.recovery.model import NoSnapshots

        settings = self.snapshot_settings
        if settings.kind == "none":
            return NoSnapshots()
        if settings.kind == "dump":
            from turnback.recovery.dump import DumpSnapshots

            return DumpSnapshots(
                self._endpoint(), self._bucket(), lambda: self.seconds_left() - RESERVE_S
            )
        from turnback.aws.rds import ClusterSnapshots, InstanceSnapshots
        from turnback.recovery.managed import ManagedSnapshots

        if settings.kind == "rds":
            return ManagedSnapshots("rds", InstanceSnapshots(settings.instance))
        return ManagedSnapshots("aurora", ClusterSnapshots(settings.cluster))

    @property
    def shadow_server(self) -> Callable[[], AbstractContextManager[str]]:
        """Starts a server for shadow databases; the address is good for the ``with`` block."""
        from turnback.rehearsal.server import shadow_server

        return shadow_server

    def connect(self, order: Order, release: str | None) -> Engine:
        """A session with the database, which ends with its ``with`` block."""
        from turnback.engine import Engine, Options, RunContext

        settings = DatabaseSettings.read(self._environment)
        return Engine(
            self._endpoint().conninfo(),
            context=RunContext(run=order.run, release=release or None, actor=order.trigger),
            history_schema=settings.history_schema,
            options=Options(runner_wait_s=self.runner_wait_s, detachable=True),
            listener=self._tell,
        )

    @property
    def runner_wait_s(self) -> float:
        """How long one call waits for another to end, seconds."""
        return DatabaseSettings.read(self._environment).runner_wait_seconds

    def waited_s(self, step: str) -> int:
        """For how long the state machine waited before it called this step again, seconds."""
        return int((self.state.get(step) or {}).get("wait_seconds") or 0)

    def seconds_left(self) -> float:
        """Seconds until Lambda stops this invocation."""
        return float(self._context.get_remaining_time_in_millis()) / 1000

    def keep_going(self) -> bool:
        """Whether there is time for another migration; always for a first one.

        Without that, a function with too short a limit would be called for ever and do nothing.
        """
        first, self._asked = not self._asked, True
        return first or self.seconds_left() > RESERVE_S

    def _bucket(self, name: str | None = None) -> Bucket:
        from turnback.aws.s3 import Bucket

        return Bucket(name or text(self._environment, "BUCKET"))

    def _endpoint(self) -> Endpoint:
        from turnback.aws.rds import auth_token
        from turnback.aws.secretsmanager import secret_fields
        from turnback.recovery.endpoint import Endpoint

        settings = DatabaseSettings.read(self._environment)
        fields: dict[str, Any] = {
            "host": settings.host,
            "port": settings.port,
            "username": settings.user,
            "dbname": settings.name,
        }
        if settings.secret_arn:
            secret = secret_fields(settings.secret_arn)
        else:
            secret = {"password": auth_token(settings.host, settings.port, settings.user)}
        bundle = files("turnback.aws") / "rds-global-bundle.pem"
        return Endpoint.from_secret(secret, fields, settings.tls, str(bundle))

    def _tell(self, event: Event) -> None:
        told: dict[str, Any] = {
            "migration": event.version,
            "name_of_migration": event.name,
            "execution_ms": event.execution_ms,
            "text": event.text or None,
        }
        fields = {name: value for name, value in told.items() if value is not None}
        self._log.info(event.kind, **fields)


def moment(value: str | float) -> datetime:
    """The time that Step Functions (ISO 8601) or an emulator (seconds since 1970) gives."""
    if isinstance(value, (int, float)):
        return datetime.fromtimestamp(value, UTC)
    return datetime.fromisoformat(value)
