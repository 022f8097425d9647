"""What every Lambda function stands on: logs, metrics, errors, and the adapters wired up.

The one module besides the functions that knows Powertools. Importing it needs no environment and
neither psycopg nor boto3: a function that only publishes starts in half the time.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from turnback.errors import AwsError, TurnbackError
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

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]

# Before the function is stopped: enough to write the report and to answer.
RESERVE_S = 60.0
# Step Functions keeps 32 KiB of a cause.
MESSAGE_LENGTH = 8000

logger = Logger(service="turnback")
metrics = Metrics(namespace="turnback", service="turnback")


class Wiring:
    """The adapters of one invocation, each made when it is asked for."""

    def __init__(self, event: Mapping[str, Any], context: Any, environment: Mapping[str, str]):
        """Wire up an invocation.

        Args:
            event: with the state machine's ``state``, if it comes from there.
            context: Lambda's context.
            environment: the function's variables.
        """
        self.state: Mapping[str, Any] = event.get("state", {})
        self.event = event
        self._context = context
        self._environment = environment
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
                logger.warning(error.message)
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
            listener=_log_event,
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


def entry(handle: Callable[[Wiring], dict[str, Any]]) -> Handler:
    """Make a Lambda handler: a run id in every log line, our errors as JSON, metrics written.

    Lambda reports an exception by its class and its text only, so one of ours leaves as JSON that
    carries file and line on into the state machine. Events are never logged.
    """

    @functools.wraps(handle)
    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        state = event.get("state") or {}
        logger.clear_state()
        logger.append_keys(
            run=state.get("run"),
            target=state.get("target"),
            function=context.function_name,
            request=context.aws_request_id,
        )
        try:
            result = handle(Wiring(event, context, os.environ))
        except TurnbackError as error:
            logger.error(error.message, error=error.to_dict())
            error.message = error.message[:MESSAGE_LENGTH]
            raise error.machine_readable() from error.__cause__
        except Exception:
            logger.exception("not one of our errors")
            raise
        finally:
            if metrics.metric_set:
                metrics.add_metadata(key="run", value=state.get("run"))
                metrics.flush_metrics()
        logger.info("done", result=result)
        return result

    return handler


def count(name: str, amount: float = 1, *, unit: MetricUnit = MetricUnit.Count) -> None:
    """Add to a metric of this target, in the namespace ``turnback``."""
    metrics.add_dimension("target", text(os.environ, "TARGET"))
    metrics.add_metric(name=name, unit=unit, value=amount)


def moment(value: str | float) -> datetime:
    """The time that Step Functions (ISO 8601) or an emulator (seconds since 1970) gives."""
    if isinstance(value, (int, float)):
        return datetime.fromtimestamp(value, UTC)
    return datetime.fromisoformat(value)


def _log_event(event: Event) -> None:
    told: dict[str, Any] = {
        "migration": event.version,
        "name_of_migration": event.name,
        "execution_ms": event.execution_ms,
        "text": event.text or None,
    }
    logger.info(event.kind, **{name: value for name, value in told.items() if value is not None})
