"""How a database is restored, and who decides it."""

from __future__ import annotations

from dataclasses import dataclass

from turnback.settings.policy import ENVIRONMENTS
from turnback.settings.reading import Environment, choice, whole

RESTORE_POLICIES = ("never", "approval", "automatic")
RESTORE_SOURCES = ("snapshot", "point-in-time")


@dataclass(frozen=True, slots=True)
class RestoreSettings:
    """Whether, from what and for how long a database is restored.

    Attributes:
        policy: ``never``; ``approval``, a person decides; ``automatic``, nobody is asked.
        source: ``snapshot``, or ``point-in-time``: just before the run, for rds and aurora.
        poll_seconds: seconds between two looks at a restore.
        timeout_minutes: minutes after which a restore counts as failed.
    """

    policy: str
    source: str
    poll_seconds: int
    timeout_minutes: int

    @classmethod
    def read(cls, environment: Environment) -> RestoreSettings:
        """The restore as the stack's parameters want it."""
        name = choice(environment, "ENVIRONMENT", ENVIRONMENTS, "development")
        words = ("by-environment", *RESTORE_POLICIES)
        policy = choice(environment, "RESTORE_POLICY", words, "by-environment")
        if policy == "by-environment":
            policy = "never" if name == "development" else "approval"
        return cls(
            policy=policy,
            source=choice(environment, "RESTORE_FROM", RESTORE_SOURCES, "snapshot"),
            poll_seconds=whole(environment, "RESTORE_POLL_SECONDS", 30, least=1),
            timeout_minutes=whole(environment, "RESTORE_TIMEOUT_MINUTES", 480, least=1),
        )
