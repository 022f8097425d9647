"""What is stopped around a rollback and a restore."""

from __future__ import annotations

import re
from dataclasses import dataclass

from turnback.errors import ConfigurationError
from turnback.settings.reading import Environment, whole

# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Service.html: up to 255 letters,
# numbers, underscores and hyphens.
_SERVICE = re.compile(r"[A-Za-z0-9_-]{1,255}/[A-Za-z0-9_-]{1,255}")
# Concurrency is reserved for a function, never for one of its versions or aliases.
_FUNCTION = re.compile(r"(arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:function:)?[A-Za-z0-9_-]{1,140}")
_HOOK = re.compile(
    r"arn:aws[a-z-]*:(lambda:[a-z0-9-]+:\d{12}:function:[A-Za-z0-9_-]+(:[A-Za-z0-9_$-]+)?"
    r"|states:[a-z0-9-]+:\d{12}:stateMachine:[A-Za-z0-9_-]+)"
)


@dataclass(frozen=True, slots=True)
class ApplicationSettings:
    """The application as far as it is stopped while the database goes back.

    Attributes:
        ecs_services: services of ECS, each ``cluster/service``.
        functions: Lambda functions, by name or ARN.
        hook: ARN of a Lambda function or of a standard state machine, for what is neither; or "".
        stop_minutes: how long the application may take to stop.
    """

    ecs_services: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    hook: str = ""
    stop_minutes: int = 10

    @property
    def enabled(self) -> bool:
        """Whether anything is to be stopped."""
        return bool(self.ecs_services or self.functions or self.hook)

    @classmethod
    def read(cls, environment: Environment) -> ApplicationSettings:
        """The application as the stack's parameters name it; nothing of it must be set.

        Raises:
            ConfigurationError: an entry is none that can be stopped.
        """
        hook = environment.get("EMERGENCY_HOOK_ARN", "").strip()
        if hook and not _HOOK.fullmatch(hook):
            raise ConfigurationError(
                f"EMERGENCY_HOOK_ARN is {hook!r}",
                hint="it must be the ARN of a Lambda function or of a state machine (no version)",
            )
        return cls(
            ecs_services=_entries(environment, "ECS_SERVICES", _SERVICE, "cluster/service"),
            functions=_entries(
                environment, "LAMBDA_FUNCTIONS", _FUNCTION, "a name or an ARN without a version"
            ),
            hook=hook,
            stop_minutes=whole(environment, "APPLICATION_STOP_MINUTES", 10, least=1),
        )


def _entries(
    environment: Environment, name: str, pattern: re.Pattern[str], form: str
) -> tuple[str, ...]:
    found = [entry.strip() for entry in environment.get(name, "").split(",") if entry.strip()]
    for entry in found:
        if not pattern.fullmatch(entry):
            raise ConfigurationError(
                f"{name} has the entry {entry!r}; each must be {form}",
                hint="correct the stack's parameter and deploy again",
            )
    return tuple(dict.fromkeys(found))
