"""The environment: its variables, read typed, and what it demands of a release.

An error names the variable that is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from turnback.errors import ConfigurationError
from turnback.settings.windows import Window, windows_of

Environment = Mapping[str, str]
ENVIRONMENTS = ("development", "staging", "production")
# Other names that environments have; one that is not here either is taken for production.
_ALSO = {
    "development": ("dev", "local", "test", "testing", "ci"),
    "staging": ("stage", "preprod", "uat"),
}
TLS_MODES = ("verify-full", "require", "disable")
# CodePipeline waits 24 hours for a Lambda action (its user guide, "Quotas"). Half an hour before
# that, turnback answers the job itself, and can say what is going on.
LIMIT_MINUTES = 24 * 60 - 30


class CodeRule(StrEnum):
    """Whether migrations in Python may run."""

    REFUSED = "refused"
    CLOSED = "closed"
    """Where their process can be kept from the network."""
    OWN = "own"
    """On a database of this machine's own: also where it cannot."""


def text(environment: Environment, name: str) -> str:
    """The value of a variable that is required.

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
    """The value of a variable that takes only these words.

    Raises:
        ConfigurationError: it is another word.
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
        ConfigurationError: it is not such a number.
    """
    value = environment.get(name, "").strip() or str(default)
    if not value.isascii() or not value.isdigit() or int(value) < least:
        raise ConfigurationError(
            f"{name} is {value!r}; it must be a whole number from {least}",
            hint="correct the stack's parameter and deploy again",
        )
    return int(value)


def policy_of(name: str) -> str:
    """The policy of an environment that does not say which: the strictest where the name is new."""
    known = [policy for policy in ENVIRONMENTS if name in (policy, *_ALSO.get(policy, ()))]
    return known[0] if known else "production"


@dataclass(frozen=True, slots=True)
class TurnSettings:
    """How runs wait for each other.

    Attributes:
        look_seconds: how often a waiting run looks by itself.
        longest_wait_hours: after so many hours a run waits no more, and is refused.
    """

    look_seconds: int = 60
    longest_wait_hours: int = 72

    @classmethod
    def read(cls, environment: Environment) -> TurnSettings:
        """The settings of ``TURN_LOOK_SECONDS`` and ``LONGEST_WAIT_HOURS``."""
        return cls(
            whole(environment, "TURN_LOOK_SECONDS", 60, least=1),
            whole(environment, "LONGEST_WAIT_HOURS", 72, least=1),
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """What an environment demands of a release before anything is changed."""

    environment: str
    snapshot_required: bool
    rollback_required: bool
    proof_required: bool = False
    dry_runs_rehearsed: bool = True
    avoid: tuple[Window, ...] = ()
    code: CodeRule = CodeRule.REFUSED

    @classmethod
    def read(cls, environment: Environment) -> Policy:
        """The policy of ``ENVIRONMENT``; a rule that is set by itself takes precedence."""
        name = choice(environment, "ENVIRONMENT", ENVIRONMENTS, "development")
        default = "no" if name == "development" else "yes"

        def rule(variable: str) -> bool:
            word = choice(environment, variable, ("by-environment", "yes", "no"), "by-environment")
            return (default if word == "by-environment" else word) == "yes"

        return cls(
            environment=name,
            snapshot_required=rule("SNAPSHOT_REQUIRED"),
            rollback_required=rule("ROLLBACK_REQUIRED"),
            proof_required=_rehearsal(environment) == "always"
            or (_rehearsal(environment) == "auto" and default == "yes"),
            dry_runs_rehearsed=_rehearsal(environment) != "never",
            avoid=windows_of(filter(None, environment.get("AVOID", "").split(","))),
            code=CodeRule.CLOSED
            if choice(environment, "ALLOW_CODE", ("true", "false"), "false") == "true"
            else CodeRule.REFUSED,
        )

    def check_snapshot_kind(self, kind: str) -> None:
        """Refuse to run without a snapshot if the policy demands one.

        Raises:
            ConfigurationError: the kind is ``none`` and the policy demands a snapshot.
        """
        if kind == "none" and self.snapshot_required:
            raise ConfigurationError(
                f"{self.environment} demands a snapshot, but the snapshot kind is 'none'",
                hint="set the parameter SnapshotKind to rds, aurora or dump",
            )


def _rehearsal(environment: Environment) -> str:
    return choice(environment, "REHEARSE", ("auto", "always", "never"), "auto")


@dataclass(frozen=True, slots=True)
class PipelineSettings:
    """What the answers to jobs depend on.

    Attributes:
        target: the only target that this stack releases to.
        limit_minutes: how long a job waits for its run.
    """

    target: str
    limit_minutes: int

    @classmethod
    def read(cls, environment: Environment) -> PipelineSettings:
        """The settings of the function."""
        return cls(
            target=text(environment, "TARGET"),
            limit_minutes=whole(environment, "PIPELINE_LIMIT_MINUTES", LIMIT_MINUTES, least=1),
        )


@dataclass(frozen=True, slots=True)
class NotificationSettings:
    """Where a run's statuses are published.

    Attributes:
        topic_arn: the status topic: JSON for machines, text for e-mail.
        amazon_q_topic_arn: the topic that Amazon Q Developer listens to; empty where none does.
        event_bus: name or ARN of EventBridge's bus; empty where it is to hear nothing.
    """

    topic_arn: str
    amazon_q_topic_arn: str
    event_bus: str

    @classmethod
    def read(cls, environment: Environment) -> NotificationSettings:
        """The places as the stack's parameters name them.

        Raises:
            ConfigurationError: there is no status topic.
        """
        return cls(
            topic_arn=text(environment, "TOPIC_ARN"),
            amazon_q_topic_arn=environment.get("AMAZON_Q_TOPIC_ARN", "").strip(),
            event_bus=environment.get("EVENT_BUS", "").strip(),
        )


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """Where the database is, and how we prove who we are.

    With ``secret_arn`` the secret says so; what it leaves out (RDS' own secrets hold only user
    and password) comes from the other fields. Without it, an IAM token is the password. The schema
    of the history is empty where no parameter names one.
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
            history_schema=environment.get("HISTORY_SCHEMA", "").strip(),
            runner_wait_seconds=whole(environment, "RUNNER_WAIT_SECONDS", 60),
        )
