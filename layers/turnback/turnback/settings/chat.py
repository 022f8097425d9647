"""Where a run's statuses are published."""

from __future__ import annotations

from dataclasses import dataclass

from turnback.settings.environment import Environment, text


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
