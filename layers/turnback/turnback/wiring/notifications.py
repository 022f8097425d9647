"""Where a run's status is published: the topics, the bus, the chat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from turnback.errors import AwsError
from turnback.settings import text
from turnback.settings.environment import NotificationSettings
from turnback.wiring.invocation import Invocation

if TYPE_CHECKING:
    from turnback.runs.announce import Announcer
    from turnback.runs.notifications.channels import Channels
    from turnback.runs.notifications.chat import Chat


class Notifications:
    """Where a run's status is published, for one invocation."""

    def __init__(self, invocation: Invocation) -> None:
        self._of = invocation

    @property
    def channels(self) -> Channels:
        """The topics and the bus that statuses go to."""
        from turnback.aws.events import EventBus
        from turnback.aws.sns import Topic
        from turnback.runs.notifications.channels import Channels

        settings = NotificationSettings.read(self._of.environment)
        return Channels(
            Topic(settings.topic_arn),
            EventBus(settings.event_bus) if settings.event_bus else None,
            Topic(settings.amazon_q_topic_arn) if settings.amazon_q_topic_arn else None,
        )

    def subscribers(self) -> dict[str, int | None]:
        """How many subscribe to ``statuses`` and ``alarms``; None where SNS does not say."""
        from turnback.aws.sns import Topic

        alarms = self._of.environment.get("ALARM_TOPIC_ARN", "").strip()
        found: dict[str, int | None] = {"statuses": None, "alarms": None if alarms else 0}
        for name, arn in (
            ("statuses", text(self._of.environment, "TOPIC_ARN")),
            ("alarms", alarms),
        ):
            try:
                found[name] = Topic(arn).subscribers() if arn else found[name]
            except AwsError as error:
                self._of.log.warning(error.message)
        return found

    @property
    def announcer(self) -> Announcer:
        """Publishes the statuses of this run."""
        from turnback.runs.announce import Announcer

        return Announcer(
            records=self._of.records,
            channels=self.channels,
            environment=self._of.policy.environment,
            execution_arn=self._of.event["execution"],
            started_at=self._of.started_at,
            warn=self._of.warn,
            subscribers=self.subscribers,
        )

    @property
    def chat(self) -> Chat:
        """The chat that the secret names."""
        from turnback.aws.secretsmanager import secret_text
        from turnback.runs.notifications.chat import Chat
        from turnback.runs.notifications.slack import ChatAccess, Deadline

        access = ChatAccess.from_secret(secret_text(text(self._of.environment, "SLACK_SECRET_ARN")))
        return Chat(access, self._of.bucket(), Deadline(self._of.seconds_left))
