"""How jobs of CodePipeline are answered."""

from __future__ import annotations

from dataclasses import dataclass

from turnback.settings.reading import Environment, text, whole

# CodePipeline waits 24 hours for a Lambda action (its user guide, "Quotas"). Half an hour before
# that the job is answered by us, who can say what goes on.
LIMIT_MINUTES = 24 * 60 - 30


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
