"""What an environment demands."""

from __future__ import annotations

from dataclasses import dataclass

from turnback.errors import ConfigurationError
from turnback.settings.reading import Environment, choice

ENVIRONMENTS = ("development", "staging", "production")


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
        """The policy of ``ENVIRONMENT``, with the rules that are set alone on top."""
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
        """Refuse to run without a snapshot where the policy demands one.

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
