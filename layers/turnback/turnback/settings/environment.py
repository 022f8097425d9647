"""The environment: its variables, read typed, and what it demands of a release.

An error names the variable that is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from turnback.errors import ConfigurationError

Environment = Mapping[str, str]
ENVIRONMENTS = ("development", "staging", "production")
# CodePipeline waits 24 hours for a Lambda action (its user guide, "Quotas"). Half an hour before
# that, turnback answers the job itself, and can say what is going on.
LIMIT_MINUTES = 24 * 60 - 30


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


@dataclass(frozen=True, slots=True)
class Policy:
    """What an environment demands of a release before anything is changed."""

    environment: str
    snapshot_required: bool
    rollback_required: bool
    proof_required: bool = False
    dry_runs_rehearsed: bool = True

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
